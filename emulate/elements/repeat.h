/* repeat.h: strings with a repeat prefix: how many of their elements one step does, and by which runs. Used inside
 * emulate/ alone. */
#ifndef SEGUE_EMULATE_REPEAT_H
#define SEGUE_EMULATE_REPEAT_H

#include "emulate/reach.h"

/* The most bytes of an operand that one run does on copies. */
#define REPEAT_COPY_MOST 256u

/* Whether it is a repeated string that goes from higher addresses to lower ones. */
static inline bool repeat_is_down(const struct segue_access *access)
{
    return (access->flags & SEGUE_ACCESS_REPEATED) && (access->flags & SEGUE_ACCESS_DOWN);
}

/* Chooses how many elements the step does, and cuts those at the windows' edges. Where all operands can be reached
 * natively: as many as lie in one piece. Else, on copies: a page's worth. Why it cannot do one, or NULL. */
const char *repeat_cut(struct segue_plan *plan, struct reach *reach);

/* Leaves of each operand's pieces only those elements, which is what the step then does. */
void repeat_trim(struct segue_plan *plan, uint64_t elements);

/* Elements that are done in one go. */
struct repeat_run {
    uint64_t elements;
    bool on_copies;
    /* Where they are done natively: how far each operand's memory is from its address. */
    uint64_t distance[SEGUE_MEMORY_OPERANDS];
};

/* Chooses the next run of the step, of at most `left` elements, which is not 0; `regs` are those that the elements
 * before have left. A run on copies keeps to one page of each operand, and is of one element where a device, or several
 * windows, hold it. */
void repeat_choose(const struct segue_plan *plan, const struct segue_regs *regs, uint64_t left, struct repeat_run *run);

#endif
