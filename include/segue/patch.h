/* patch.h: lists, undoes, forgets and prevents the code patches that the library makes at run time.
 *
 * SOURCES: docs/patch.md. */
#ifndef SEGUE_PATCH_H
#define SEGUE_PATCH_H

#include <segue/decode.h>

SEGUE_BEGIN

enum segue_patch_kind {
    /* fs: became gs:, or the reverse. */
    SEGUE_PATCH_SEGMENT = 1,
    /* A hot site became a jump to its body. */
    SEGUE_PATCH_HOT = 2,
    /* The constant address of a hot site's operand became the alias's. */
    SEGUE_PATCH_CONSTANT = 3,
    /* Only listed: the faults of this site are counted, and its code is unchanged. `reason` says
     * why it cannot be changed; NULL if it only has not been. */
    SEGUE_PATCH_NONE = 5,
};

/* How a jump fits into the instruction of a hot site. */
enum segue_tactic {
    SEGUE_TACTIC_NONE,
    /* The instruction has five bytes or more. */
    SEGUE_TACTIC_B1,
    /* The jump ends in bytes of the instruction's successor. */
    SEGUE_TACTIC_B2,
    /* The same with redundant prefixes before it. */
    SEGUE_TACTIC_T1,
    /* The successor became a jump, too. */
    SEGUE_TACTIC_T2,
};

/* One place in code. */
struct segue_patch {
    /* The addresses of the instruction, and of its first changed byte. */
    uint64_t address;
    uint64_t changed;
    /* The number of changed bytes, and their values before and after the patch; 0 for
     * SEGUE_PATCH_NONE. */
    uint8_t length;
    uint8_t old_bytes[SEGUE_INSN_BYTES];
    uint8_t new_bytes[SEGUE_INSN_BYTES];
    /* enum segue_patch_kind. */
    uint8_t kind;
    /* enum segue_tactic. */
    uint8_t tactic;
    /* The patch was undone, and not made again since. */
    uint8_t undone;
    /* The number of faults at this site, 0 if it was patched before any fault; and the number of
     * accesses counted there. */
    uint64_t faults;
    uint64_t accesses;
    /* The time of the last change, in nanoseconds of the monotonic clock. */
    uint64_t time;
    /* The object file that contains the site now, and the reason why the site was not changed; NULL
     * if unknown or not applicable. */
    const char *object;
    const char *reason;
    uint64_t reserved[4];
};

/* Called for each patch; any status but SEGUE_OK ends the list. `patch` is valid until the callback
 * returns. */
typedef enum segue_status segue_patch_visit(void *context, const struct segue_patch *patch);

/* Lists the patches whose changed bytes begin in the `size` bytes from `start` on (0 and SIZE_MAX:
 * all patches), as they are at the call, lowest address first. `visit` may change the table.
 * Returns SEGUE_OK, what `visit` returned, SEGUE_INVALID for a NULL `visit`, or SEGUE_NO_MEMORY.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_list(uint64_t start, uint64_t size,
                                               segue_patch_visit *visit, void *context);

/* Undoes the patches in the range whose bytes are still those that the library wrote; their sites
 * may be patched again. Stores the number of undone patches in `count`, which may be NULL. Returns
 * SEGUE_OK; SEGUE_UNSUPPORTED if a site could not be written. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_undo(uint64_t start, uint64_t size, size_t *count);

/* The same for the module that contains `address`; SEGUE_NOT_FOUND if no module does. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_undo_module(const void *address, size_t *count);

/* Forgets the patches in a range that will hold other code (dlclose, a JIT compiler). Writes no
 * code in it. Returns SEGUE_OK; SEGUE_UNSUPPORTED if a jump before the range reads it and could not
 * be undone. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_forget(uint64_t start, uint64_t size);

/* Changes no code in the range from now on, and undoes the patches there: its sites go on faulting.
 * For code that reads itself. Returns SEGUE_OK; SEGUE_INVALID for an empty range; SEGUE_NO_MEMORY
 * if there are too many such ranges (256); SEGUE_UNSUPPORTED if a site could not be undone.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patches_exclude(uint64_t start, uint64_t size);

/* Declares that the code at `base` can also be written at `alias`, which the library then prefers
 * to the kernel's way (/proc/thread-self/mem). Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_INVALID for a
 * NULL pointer or an empty range; SEGUE_NO_MEMORY if there are too many aliases (64). Removing
 * returns SEGUE_OK or SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_patch_alias_add(uint64_t base, uint64_t size, void *alias);
SEGUE_API enum segue_status segue_patch_alias_remove(uint64_t base);

SEGUE_END

#endif
