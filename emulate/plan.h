/* plan.h: the two halves of segue_plan, for callers that look up windows by the accesses. */
#ifndef SEGUE_EMULATE_PLAN_H
#define SEGUE_EMULATE_PLAN_H

#include "emulate/windows/reach.h"

/* Makes it an empty plan that has `size` bytes, at least those of struct segue_plan; `insn` stays as it is. */
void plan_begin(struct segue_plan *plan, size_t size);

/* Copies a plan into memory that has room for all. */
void plan_copy(struct segue_plan *to, const struct segue_plan *from);

/* The plan is where it was made. */
bool plan_is_in_place(const struct segue_plan *plan);

/* Lists the accesses of plan->insn in the plan and compares them with the fault (may be NULL).
 * The plan has `size` bytes. As segue_plan. */
enum segue_status plan_accesses(struct segue_plan *plan, size_t size, const struct segue_regs *regs,
                                const struct segue_xstate *xstate, const struct segue_fault *fault);

/* Cuts those accesses at the windows' edges and chooses the engine. After plan_accesses returned SEGUE_OK; as
 * segue_plan. */
enum segue_status plan_reach(struct segue_plan *plan, struct reach *reach);

#endif
