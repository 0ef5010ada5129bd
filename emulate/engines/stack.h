/* stack.h: the engine for what moves the stack or the instruction pointer. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_STACK_H
#define SEGUE_EMULATE_STACK_H

#include <segue/emulate.h>

#include "transfer.h"

/* Whether the instruction is done by this engine, whatever its class. */
bool stack_does(const struct segue_insn *insn);

/* Why the engine does not do this instruction, whose accesses are in the plan; NULL if it does. */
const char *stack_refusal(const struct segue_plan *plan, const struct segue_regs *regs);

/* Carries out a plan of SEGUE_ENGINE_STACK; the instruction pointer too, but not the resume flag. As
 * segue_step. */
enum segue_status stack_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                             struct segue_fault *fault);

#endif
