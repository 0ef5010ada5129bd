/* lanes.h: gathers and scatters whose lanes are not all reached at one distance from their addresses. Used inside
 * emulate/ only. */
#ifndef SEGUE_EMULATE_LANES_H
#define SEGUE_EMULATE_LANES_H

#include "emulate/replay/context.h"

/* Whether lanes_step carries out the plan's instruction; the plan's windows are known. */
bool lanes_are_apart(const struct segue_plan *plan);

/* As replay_step, which calls it. If a lane cannot be carried out, those before it are completed and the mask keeps the
 * remaining ones; the thread executes the instruction again for them. */
enum segue_status lanes_step(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault);

#endif
