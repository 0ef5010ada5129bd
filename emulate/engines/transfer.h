/* transfer.h: what a step of the stack engine works with. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_TRANSFER_H
#define SEGUE_EMULATE_TRANSFER_H

#include <segue/emulate.h>

#include "decode/x86/flags.h"
#include "emulate/pieces.h"

/* The operands' places in insn->memory. */
struct operands {
    int stack, other;
};

/* One step. */
struct transfer {
    const struct segue_plan *plan;
    struct operands operands;
    /* What each operand holds. */
    uint64_t values[SEGUE_MEMORY_OPERANDS];
    struct copies copies;
    /* Bytes on the stack. */
    unsigned size;
    struct segue_regs after;
    /* Of far ones: five words of the stack, and a far pointer. */
    uint8_t words[40], pointer[16];
};

/* CF PF AF ZF SF TF DF OF NT, and AC and ID: what a program may pop. Of these a handler cannot give NT and ID back. */
#define FLAGS_POPPED                                                                                                   \
    (FLAGS_ARITHMETIC | FLAG_TRAP | FLAG_DIRECTION | FLAG_NESTED_TASK | FLAG_ALIGNMENT | FLAG_IDENTIFICATION)
#define FLAGS_KEPT (FLAG_NESTED_TASK | FLAG_IDENTIFICATION)

#endif
