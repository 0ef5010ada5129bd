/* stack.h: the engine for what moves the stack or the instruction pointer. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_STACK_H
#define SEGUE_EMULATE_STACK_H

#include <segue/emulate.h>

#include "pieces.h"

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
};

struct step_scratch;

/* Why the engine does not do this instruction, whose accesses are in the plan; NULL if it does. */
const char *stack_refusal(const struct segue_plan *plan);

/* Carries out a plan of SEGUE_ENGINE_STACK; the instruction pointer too, but not the resume flag. As step_in
 * (scratch.h). */
enum segue_status stack_step(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                             struct segue_fault *fault);

#endif
