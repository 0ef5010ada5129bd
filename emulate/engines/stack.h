/* stack.h: the engine for instructions that use the stack or change the instruction pointer. Used inside emulate/
 * only. */
#ifndef SEGUE_EMULATE_STACK_H
#define SEGUE_EMULATE_STACK_H

#include <segue/emulate.h>

#include "transfer.h"

/* Whether this engine carries out the instruction, whatever its class. */
bool stack_does(const struct segue_insn *insn);

/* The refusal for this instruction, whose accesses are in the plan; NULL if the engine can carry it out. */
const char *stack_refusal(const struct segue_plan *plan, const struct segue_regs *regs);

/* Carries out a plan of SEGUE_ENGINE_STACK, the instruction pointer included, except for the resume flag. As
 * segue_step. */
enum segue_status stack_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                             struct segue_fault *fault);

#endif
