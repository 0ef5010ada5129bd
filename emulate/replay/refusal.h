/* refusal.h: which plans are replayed. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_REPLAY_REFUSAL_H
#define SEGUE_EMULATE_REPLAY_REFUSAL_H

#include <segue/emulate.h>

/* Before a plan's windows are known: the refusal of its instruction, or NULL; then the operand's address is in the
 * plan. */
const char *replay_refusal(struct segue_plan *plan, const struct segue_regs *regs, const struct segue_xstate *xstate);

/* With the windows known: the refusal of these windows, or NULL. May set SEGUE_PLAN_COPIED. */
const char *replay_window_refusal(struct segue_plan *plan);

#endif
