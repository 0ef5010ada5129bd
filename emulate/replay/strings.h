/* strings.h: replays of string instructions: runs of elements, and the registers that move with them. Used inside
 * emulate/replay/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_STRINGS_H
#define SEGUE_EMULATE_REPLAY_STRINGS_H

#include "context.h"

/* Chooses the next run of a step, of at most `left` elements. */
void strings_choose_run(struct replay *replay, uint64_t left);

/* The elements that the thread's count register asks for. */
uint64_t strings_count_before(const struct replay *replay);

/* Whether the elements of this step were the last ones: there are no more, or what was compared ended it. */
bool strings_are_finished(const struct replay *replay);

/* A comparison that goes on when it is executed again may fault then, and give back the flags that it begins with. */
void strings_forget_flags(struct replay *replay);

/* Gives the thread the address registers, and the count, after the run. */
void strings_store_registers(const struct replay *replay, struct segue_regs *regs);
void strings_store_count(const struct replay *replay, struct segue_regs *regs);

#endif
