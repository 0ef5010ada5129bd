/* scratch.h: the memory that a step works in, and what it holds that others wait for. Whoever steps gives it: a stack
 * that a fault is served on may have no room for it. */
#ifndef SEGUE_EMULATE_SCRATCH_H
#define SEGUE_EMULATE_SCRATCH_H

#include <segue/emulate.h>

#include "emulate/engines/stack.h"
#include "emulate/replay/replay.h"
#include "emulate/replay/stubs.h"

/* For a step that has no number of its own. */
#define STEP_NO_HOLDER STUBS_NO_HOLDER
#define STEP_HOLDERS STUBS_NUMBERED

struct step_scratch {
    /* The number of the work area that it is in, less than STEP_HOLDERS, or STEP_NO_HOLDER. */
    uint32_t holder;
    struct replay replay;
    struct transfer transfer;
};

/* As segue_step, in that memory, which nobody else uses meanwhile. */
enum segue_status step_in(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                          struct segue_xstate *xstate, struct segue_fault *fault);

/* Whoever stepped in it will not come back: gives back what is held. */
void step_abandon(struct step_scratch *scratch);

#endif
