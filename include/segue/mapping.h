/* mapping.h: memory with two views: one to protect, one that stays accessible. */
#ifndef SEGUE_MAPPING_H
#define SEGUE_MAPPING_H

#include <segue/regs.h>
#include <segue/window.h>

SEGUE_BEGIN

/* Memory that is mapped twice. */
struct segue_mapping {
    /* The program's view, which the caller may protect. */
    void *memory;
    /* The second view, always readable and writable. */
    void *alias;
    /* The size in bytes, whole pages. */
    size_t size;
    /* The library's. */
    uint64_t private_;
    uint64_t reserved[4];
};

/* Maps `size` bytes (rounded up to whole pages) of zeroed memory with two views, both readable and
 * writable; the caller then protects `memory`. `at`, if not NULL, is the required address of
 * `memory`; nothing may be mapped there yet. The distance between the views is random, and below 2
 * GiB unless `at` or the size forbids it. The 64 KiB on each side of a view are inaccessible,
 * except around `at`, where the surroundings belong to the caller. Core dumps omit the alias.
 * RLIMIT_FSIZE does not limit the memory, unless the system accounts all memory in advance. The
 * memory is shared: a child made by fork sees and changes the same bytes. Returns SEGUE_OK;
 * SEGUE_INVALID for a zero size or an `at` that is not page-aligned; SEGUE_EXISTS if something is
 * mapped at `at`; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_create(void *at, size_t size,
                                                             struct segue_mapping *mapping);

/* Unmaps both views; not for an adopted mapping. Returns SEGUE_OK, or SEGUE_INVALID for a NULL
 * pointer or an adopted mapping. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_mapping_destroy(struct segue_mapping *mapping);

/* Gives `size` bytes of private memory that is mapped already a second view, in place: puts shared
 * memory with the same contents and protections there. `memory` and `size` are whole pages, which
 * may have different protections. The alias has the program's protections, is within 2 GiB, and
 * lies between inaccessible pages. Other threads are suspended meanwhile, which needs
 * segue_suspend_install (in a process of one thread it does not): blocking system calls that they
 * are in end or begin again as signal(7) says. A child made by fork gets memory of its own, a copy;
 * children made in another way (vfork, posix_spawn, a bare system call) share it. Huge pages are
 * split. Until segue_mapping_release, the program must not unmap or remap the pages. Returns
 * SEGUE_OK; SEGUE_INVALID; SEGUE_BUSY inside a fault, or if a running thread's stack pointer is in
 * the pages or a little above them; SEGUE_UNSUPPORTED for memory that is not private to the
 * process, that is code, a thread's static thread-local storage or the library's own; SEGUE_TIMEOUT
 * if a thread could not be suspended; SEGUE_NOT_FOUND without segue_suspend_install;
 * SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_adopt(void *memory, size_t size,
                                                            struct segue_mapping *mapping);

/* Puts private memory with the same contents, and with the protections of the alias, in place of
 * the pages of an adopted mapping, and unmaps the alias. Returns as segue_mapping_adopt;
 * SEGUE_INVALID for a mapping that segue_mapping_adopt has not made. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_mapping_release(struct segue_mapping *mapping);

/* Sets the protection of `size` bytes of `memory` from `offset` on. `allowed` has the enum
 * segue_direction bits of the permitted accesses; 0 permits no access, and SEGUE_WRITE and
 * SEGUE_FETCH may not be combined. The alias stays accessible. Returns SEGUE_OK; SEGUE_INVALID for
 * a NULL mapping, a range that is not whole pages of the mapping, or unknown bits; SEGUE_NO_MEMORY
 * for too many mappings; SEGUE_SYSTEM if the system forbids it, as hardened systems forbid
 * SEGUE_FETCH. After these two some pages may have changed. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_protect(const struct segue_mapping *mapping,
                                                              size_t offset, size_t size,
                                                              uint8_t allowed);

/* The alias window of the whole mapping. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_window segue_mapping_window(const struct segue_mapping *mapping)
{
    return segue_window_alias(mapping->memory, mapping->size, mapping->alias);
}

SEGUE_END

#endif
