/* replay.h: the engine that executes the instruction itself, with its memory operand relocated. Used inside emulate/
 * only. */
#ifndef SEGUE_EMULATE_REPLAY_H
#define SEGUE_EMULATE_REPLAY_H

#include "context.h"

/* As segue_replay_prepare. */
enum segue_status replay_prepare(void);

/* Carries out a plan of SEGUE_ENGINE_REPLAY, except for the resume flag, in memory that no other step uses meanwhile,
 * and whose `holder` is filled in. An instruction that repeats may stop between elements; it continues when it is
 * executed again. */
enum segue_status replay_step(struct replay *replay, const struct segue_plan *plan, struct segue_regs *regs,
                              struct segue_xstate *xstate, struct segue_fault *fault);

#endif
