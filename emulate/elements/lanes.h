/* lanes.h: gathers and scatters whose lanes are not all reached at one distance. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_LANES_H
#define SEGUE_EMULATE_LANES_H

#include "emulate/replay/context.h"

/* Whether the plan's instruction, whose windows are known, is done by lanes_step. */
bool lanes_are_apart(const struct segue_plan *plan);

/* As replay_step, of which it does the work. If a lane cannot be done, those before it are, and the mask tells which
 * are left; the thread comes back to the instruction for them. */
enum segue_status lanes_step(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault);

#endif
