/* scratch.h: the memory that a step works in, and what it holds that others wait for. Whoever steps gives it: a stack
 * that a fault is served on may have no room for it. */
#ifndef SEGUE_EMULATE_SCRATCH_H
#define SEGUE_EMULATE_SCRATCH_H

#include <segue/emulate.h>

#include "replay.h"
#include "stack.h"

/* All zero bytes before its first use. */
struct step_scratch {
    struct replay replay;
    struct transfer transfer;
};

/* As segue_step, in that memory, which nobody else uses meanwhile. */
enum segue_status step_in(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                          struct segue_xstate *xstate, struct segue_fault *fault);

#endif
