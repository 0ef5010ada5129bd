/* patch.h: the table of all code that the library changes at run time: hot sites, rewritten
 * segment prefixes, system calls; and how it is listed, undone, forgotten, and kept from
 * happening.
 *
 * SOURCES: docs/patch.md, docs/hot.md. */
#ifndef SEGUE_PATCH_H
#define SEGUE_PATCH_H

#include <segue/status.h>

SEGUE_BEGIN

/* A site that was rewritten. */
struct segue_segment_record {
    /* The byte that was changed. */
    uint64_t address;
    uint8_t old_byte;
    uint8_t new_byte;
    /* It has been taken back, and not been rewritten since. */
    bool undone;
    /* Faults that led there; 0 if it was rewritten before any. */
    uint32_t count;
    /* Nanoseconds of CLOCK_MONOTONIC when it was last rewritten. */
    uint64_t time;
    /* The object file that holds it now; NULL where there is none. */
    const char *object;
};

/* Lists what was rewritten, in no order. Stores how many there are in `count`, and as many as fit
 * in `records`. Returns SEGUE_OK, SEGUE_TOO_SMALL, SEGUE_NOT_FOUND when faults are not answered,
 * SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_records(struct segue_segment_record *records, size_t capacity, size_t *count);

/* Takes back what was rewritten in the `size` bytes from `start` on (0 and SIZE_MAX: everything),
 * where the byte is still the one that was put there. Stores how many sites that were in `count`,
 * which may be NULL. Returns SEGUE_OK; SEGUE_UNSUPPORTED when a site could not be written;
 * SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_undo(uint64_t start, uint64_t size, size_t *count);

/* The same for the module that holds `address`. Also SEGUE_NOT_FOUND when there is none. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_undo_module(const void *address, size_t *count);

/* Forgets the sites in a range that will hold other code. Nothing is written. Returns SEGUE_OK or
 * SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_forget(uint64_t start, uint64_t size);

/* Tells that the code at `base` can also be written at `alias`, which is then preferred to the
 * kernel's way. Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_INVALID for a NULL pointer or an empty
 * range; SEGUE_NO_MEMORY when there are too many (64). Removing returns SEGUE_OK or
 * SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patch_alias_add(uint64_t base, uint64_t size, void *alias);
SEGUE_API enum segue_status segue_patch_alias_remove(uint64_t base);

SEGUE_END

#endif
