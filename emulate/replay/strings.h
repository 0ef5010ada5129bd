/* strings.h: replays of string instructions: runs of elements, and the registers that move with them. Used inside
 * emulate/replay/ only. */
#ifndef SEGUE_EMULATE_REPLAY_STRINGS_H
#define SEGUE_EMULATE_REPLAY_STRINGS_H

#include "context.h"

/* Chooses the next run of a step, of at most `left` elements. */
void strings_choose_run(struct replay *replay, uint64_t left);

/* The number of elements in the thread's count register. */
uint64_t strings_count_before(const struct replay *replay);

/* Whether this step's elements were the last ones: the count has reached zero, or a comparison ended the string. */
bool strings_are_finished(const struct replay *replay);

/* A comparison that continues when it is executed again may fault then, and restore the flags from before it; so the
 * flags from before this run are kept. */
void strings_forget_flags(struct replay *replay);

/* Writes the address registers and the count after the run to `regs`. */
void strings_store_registers(const struct replay *replay, struct segue_regs *regs);
void strings_store_count(const struct replay *replay, struct segue_regs *regs);

#endif
