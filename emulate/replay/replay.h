/* replay.h: the engine that runs the instruction itself, with its memory redirected. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_H
#define SEGUE_EMULATE_REPLAY_H

#include "context.h"

/* As segue_replay_prepare. */
enum segue_status replay_prepare(void);

/* Carries out a plan of SEGUE_ENGINE_REPLAY, in memory that nobody else uses meanwhile, of which `holder` is filled in;
 * everything but the resume flag. An instruction that repeats may stop between elements, to go on when it is executed
 * again. */
enum segue_status replay_step(struct replay *replay, const struct segue_plan *plan, struct segue_regs *regs,
                              struct segue_xstate *xstate, struct segue_fault *fault);

#endif
