/* patch.h: the table of all code that the library changes at run time, and how it is listed, undone
 * and forgotten.
 *
 * SOURCES: docs/patch.md. */
#ifndef SEGUE_PATCH_H
#define SEGUE_PATCH_H

#include <segue/decode.h>

SEGUE_BEGIN

enum segue_patch_kind {
    /* fs: became gs:, or the other way round. */
    SEGUE_PATCH_SEGMENT = 1,
};

/* One place in code. */
struct segue_patch {
    /* Of the instruction, and of its first byte that was changed. */
    uint64_t address;
    uint64_t changed;
    /* How many bytes were changed, and what they were and became. */
    uint8_t length;
    uint8_t old_bytes[SEGUE_INSN_BYTES];
    uint8_t new_bytes[SEGUE_INSN_BYTES];
    /* enum segue_patch_kind. */
    uint8_t kind;
    uint8_t reserved8;
    /* It has been taken back, and not been done again since. */
    uint8_t undone;
    /* Faults that led there; 0 if it was changed before any. Accesses that were counted there. */
    uint64_t faults;
    uint64_t accesses;
    /* Nanoseconds of the monotonic clock when it was last changed. */
    uint64_t time;
    /* The object file that holds it now; why it was not changed; NULL where there is none. */
    const char *object;
    const char *reason;
    uint64_t reserved[4];
};

/* Called for each patch; any status but SEGUE_OK ends the list. `patch` lives until it returns. */
typedef enum segue_status segue_patch_visit(void *context, const struct segue_patch *patch);

/* Lists the patches whose changed bytes begin in the `size` bytes from `start` on (0 and SIZE_MAX:
 * everything) as they are when it is called, lowest address first. `visit` may change the table.
 * Returns SEGUE_OK, what `visit` returned, SEGUE_INVALID for a NULL `visit`, or SEGUE_NO_MEMORY.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_list(uint64_t start, uint64_t size, segue_patch_visit *visit, void *context);

/* Takes back the patches in the range, where the bytes are still those that were put there; the
 * sites may be changed again. Stores how many that were in `count`, which may be NULL. Returns
 * SEGUE_OK; SEGUE_UNSUPPORTED when a site could not be written. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_undo(uint64_t start, uint64_t size, size_t *count);

/* The same for the module that holds `address`; SEGUE_NOT_FOUND when there is none. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_undo_module(const void *address, size_t *count);

/* Forgets the patches in a range that will hold other code (dlclose, a JIT compiler). Nothing is
 * written. Returns SEGUE_OK. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_forget(uint64_t start, uint64_t size);

/* Declares that the code at `base` can also be written at `alias`, which is then preferred to the
 * kernel's way. Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_INVALID for a NULL pointer or an empty
 * range; SEGUE_NO_MEMORY when there are too many (64). Removing returns SEGUE_OK or
 * SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patch_alias_add(uint64_t base, uint64_t size, void *alias);
SEGUE_API enum segue_status segue_patch_alias_remove(uint64_t base);

SEGUE_END

#endif
