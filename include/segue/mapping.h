/* mapping.h: memory with two views: heaps, and existing memory that is given a second view. */
#ifndef SEGUE_MAPPING_H
#define SEGUE_MAPPING_H

#include <segue/regs.h>
#include <segue/window.h>

SEGUE_BEGIN

/* Memory that is mapped twice. */
struct segue_mapping {
    /* The program's view. */
    void *memory;
    /* The second view, always readable and writable. */
    void *alias;
    /* Bytes, whole pages. */
    size_t size;
    /* The library's. */
    uint64_t private_;
    uint64_t reserved[4];
};

/* Makes `size` bytes (rounded up to whole pages) of zeroed memory with two views, both readable and
 * writable; it is the caller who then protects `memory`. `at`, if not NULL, is where `memory` must
 * stand; nothing may be mapped there yet. The views stand apart at a random distance, below 2 GiB
 * unless `at` or the size forbids it. The 64 KiB on each side of a view are closed: an access there
 * is a fault; but not those around `at`, which are the caller's. The alias is left out of core
 * dumps. RLIMIT_FSIZE does not limit the memory, unless the system accounts all memory in advance.
 * The memory is shared: a child made by fork sees and changes the same bytes. Returns SEGUE_OK;
 * SEGUE_INVALID for a zero size or an `at` within a page; SEGUE_EXISTS when something is mapped at
 * `at`; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_create(void *at, size_t size, struct segue_mapping *mapping);

/* Unmaps both views. Returns SEGUE_OK, or SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_mapping_destroy(struct segue_mapping *mapping);

/* Sets the protection of the pages of `memory` from `offset` on: `allowed` are enum segue_direction
 * bits, 0 for none, SEGUE_WRITE and SEGUE_FETCH not together. The alias stays open. SEGUE_OK;
 * SEGUE_INVALID for a NULL mapping, a range that is not of whole pages in the mapping, or unknown
 * bits; SEGUE_NO_MEMORY for too many mappings. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_protect(const struct segue_mapping *mapping, size_t offset,
                                                              size_t size, uint8_t allowed);

/* The alias window of all of it. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_window segue_mapping_window(const struct segue_mapping *mapping)
{
    return segue_window_alias(mapping->memory, mapping->size, mapping->alias);
}

SEGUE_END

#endif
