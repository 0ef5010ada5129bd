/* repeat.h: strings with a repeat prefix: how many elements one step carries out, and in which runs. Used inside
 * emulate/ only. */
#ifndef SEGUE_EMULATE_REPEAT_H
#define SEGUE_EMULATE_REPEAT_H

#include "emulate/windows/reach.h"

/* The most bytes of an operand that one run processes on copies. */
#define REPEAT_COPY_MOST 256u

/* Whether it is a repeated string that goes from higher to lower addresses. */
static inline bool repeat_is_down(const struct segue_access *access)
{
    return (access->flags & SEGUE_ACCESS_REPEATED) && (access->flags & SEGUE_ACCESS_DOWN);
}

/* Chooses how many elements the step carries out, and cuts them at the windows' edges. If all operands can be reached
 * natively: as many as lie in one fragment. Else, on copies: at most a page. Returns the refusal, or NULL. */
const char *repeat_cut(struct segue_plan *plan, struct reach *reach);

/* Trims each operand's fragments to those elements, which is what the step then carries out. */
void repeat_trim(struct segue_plan *plan, uint64_t elements);

/* A run: elements that are carried out together. */
struct repeat_run {
    uint64_t elements;
    bool on_copies;
    /* For a native run: the distance of each operand's memory from its address. */
    uint64_t distance[SEGUE_MEMORY_OPERANDS];
};

/* Chooses the next run of the step, of at most `left` elements, which is not 0. `regs` are the registers after the
 * previous elements. A run on copies stays within one page of each operand; it has one element if a device or several
 * windows hold that element. */
void repeat_choose(const struct segue_plan *plan, const struct segue_regs *regs, uint64_t left, struct repeat_run *run);

#endif
