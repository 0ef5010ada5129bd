/* refusal.h: which plans are replayed. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_REFUSAL_H
#define SEGUE_EMULATE_REPLAY_REFUSAL_H

#include <segue/emulate.h>

/* Before a plan's windows are known: why the engine does not do its instruction; NULL if it does, and its operand is in
 * the plan. */
const char *replay_refusal(struct segue_plan *plan, const struct segue_regs *regs, const struct segue_xstate *xstate);

/* With the windows known: why not with these; NULL if it does. May set SEGUE_PLAN_COPIED. */
const char *replay_window_refusal(struct segue_plan *plan);

#endif
