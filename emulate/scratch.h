/* scratch.h: the working memory of a step, and what a step holds that others wait for. The caller provides it, since
 * the stack on which a fault is served may have no room. */
#ifndef SEGUE_EMULATE_SCRATCH_H
#define SEGUE_EMULATE_SCRATCH_H

#include <segue/emulate.h>

#include "emulate/engines/stack.h"
#include "emulate/replay/replay.h"
#include "emulate/replay/stubs/stubs.h"

/* For a step without a holder number. */
#define STEP_NO_HOLDER STUBS_NO_HOLDER
#define STEP_HOLDERS STUBS_NUMBERED

struct step_scratch {
    /* The number of the work area that contains it, less than STEP_HOLDERS, or STEP_NO_HOLDER. */
    uint32_t holder;
    struct replay replay;
    struct transfer transfer;
};

/* As segue_step, in that memory, which no other step may use meanwhile. */
enum segue_status step_in(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                          struct segue_xstate *xstate, struct segue_fault *fault);

/* Releases what an abandoned step in this memory holds: it will never come back. */
void step_abandon(struct step_scratch *scratch);

#endif
