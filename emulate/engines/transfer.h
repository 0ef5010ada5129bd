/* transfer.h: the working memory of a step of the stack engine. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_TRANSFER_H
#define SEGUE_EMULATE_TRANSFER_H

#include <segue/emulate.h>

#include "decode/x86/flags.h"
#include "emulate/accesses/pieces.h"

/* The operands' indices in insn->memory. */
struct operands {
    int stack, other;
};

/* One step. */
struct transfer {
    const struct segue_plan *plan;
    struct operands operands;
    /* The value of each operand. */
    uint64_t values[SEGUE_MEMORY_OPERANDS];
    struct copies copies;
    /* The size on the stack, in bytes. */
    unsigned size;
    struct segue_regs after;
    /* For far transfers: up to five stack words, and a far pointer. */
    uint8_t words[40], pointer[16];
};

/* CF PF AF ZF SF TF DF OF NT, and AC and ID: the flags that a program may pop. A handler cannot set NT and ID in the
 * thread. */
#define FLAGS_POPPED                                                                                                   \
    (FLAGS_ARITHMETIC | FLAG_TRAP | FLAG_DIRECTION | FLAG_NESTED_TASK | FLAG_ALIGNMENT | FLAG_IDENTIFICATION)
#define FLAGS_KEPT (FLAG_NESTED_TASK | FLAG_IDENTIFICATION)

#endif
