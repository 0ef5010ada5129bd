/* effects.h: which general registers and which flags an instruction uses, so that code that runs it elsewhere knows
 * what must be in place before it and what has changed after it. 64-bit mode only. Pure: async-signal-safe,
 * thread-safe.
 *
 * What is not certain counts as read and as written. */
#ifndef SEGUE_DECODE_EFFECTS_H
#define SEGUE_DECODE_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/x86/flags.h"

struct decode_scratch;

/* A register or flag that is written and not read has a value that depends on nothing that was in it. One that is
 * neither read nor written keeps its value and has no influence. */
struct effects {
    /* General registers; bit N is the register N of enum segue_register. `reads` has those whose value before the
     * instruction matters: sources, parts of addresses, and registers that are written only in part (8 or 16 bits),
     * under a condition, or with a value that the architecture leaves undefined. A write of 32 bits is whole. */
    uint16_t reads, writes;
    /* Flags, of FLAGS_ARITHMETIC; the same rules. */
    uint16_t flags_read, flags_written;
    /* The stack pointer is used otherwise than as the base register of an explicit memory operand: by a push or a pop,
     * or as an operand. */
    bool uses_stack;
};

/* The effects of the instruction that `decoded` holds, which must be decoded with all operands. */
void effects_find(const struct decode_scratch *decoded, struct effects *effects);

/* Everything is read and written. */
void effects_everything(struct effects *effects);

/* Whether the arithmetic flags after the instruction depend on none of those before it. */
static inline bool effects_overwrite_flags(const struct effects *effects)
{
    return effects->flags_read == 0 && effects->flags_written == FLAGS_ARITHMETIC;
}

#endif
