/* emulated.h: new instructions so simple that a thread that hits the breakpoint of a change can emulate them, and need
 * not wait until the instruction is in place.
 *
 * SOURCES: Linux arch/x86/kernel/alternative.c (text_poke_loc_init, poke_int3_handler); Intel SDM volume 2, JMP, CALL,
 * NOP. */
#ifndef SEGUE_PATCH_EMULATED_H
#define SEGUE_PATCH_EMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum emulated_kind {
    /* Any other instruction; the thread waits for it. */
    EMULATED_NONE,
    /* JMP with a displacement of 8 or 32 bits, or a NOP of more than one byte: continues at `target`. */
    EMULATED_JUMP,
    /* CALL with a displacement: also pushes `behind`. */
    EMULATED_CALL,
};

struct emulated {
    enum emulated_kind kind;
    uint64_t target, behind;
};

/* The effect of the first instruction of those bytes at that address, in 64-bit mode. */
struct emulated emulated_find(uint64_t address, const uint8_t *bytes, size_t size);

#endif
