/* stack.h: the engine for what moves the stack or the instruction pointer. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_STACK_H
#define SEGUE_EMULATE_STACK_H

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

/* Whether the instruction is done by this engine, whatever its class. */
bool stack_does(const struct segue_insn *insn);

struct step_scratch;

/* Why the engine does not do this instruction, whose accesses are in the plan; NULL if it does. */
const char *stack_refusal(const struct segue_plan *plan, const struct segue_regs *regs);

/* Carries out a plan of SEGUE_ENGINE_STACK; the instruction pointer too, but not the resume flag. As step_in
 * (scratch.h). */
enum segue_status stack_step(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                             struct segue_fault *fault);

#endif
