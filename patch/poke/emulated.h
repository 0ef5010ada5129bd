/* emulated.h: new instructions whose work is so plain that a thread which meets the breakpoint of a change can do it
 * itself, in place of waiting until the instruction stands.
 *
 * SOURCES: Linux arch/x86/kernel/alternative.c (text_poke_loc_init, poke_int3_handler); Intel SDM volume 2, JMP, CALL,
 * NOP. */
#ifndef SEGUE_PATCH_EMULATED_H
#define SEGUE_PATCH_EMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum emulated_kind {
    /* Another instruction, which is waited for. */
    EMULATED_NONE,
    /* JMP with a displacement of 8 or 32 bits, or a NOP of more than one byte: goes on at `target`. */
    EMULATED_JUMP,
    /* CALL with a displacement: pushes `behind` as well. */
    EMULATED_CALL,
};

struct emulated {
    enum emulated_kind kind;
    uint64_t target, behind;
};

/* What the first instruction of those bytes does at that address, in 64-bit mode. */
struct emulated emulated_find(uint64_t address, const uint8_t *bytes, size_t size);

#endif
