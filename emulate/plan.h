/* plan.h: the two halves of segue_plan, for callers that look up windows by the accesses. */
#ifndef SEGUE_EMULATE_PLAN_H
#define SEGUE_EMULATE_PLAN_H

#include "emulate/windows/reach.h"

/* Lists the accesses of plan->insn in the plan and compares them with the fault (may be NULL). As segue_plan. */
enum segue_status plan_accesses(struct segue_plan *plan, const struct segue_regs *regs,
                                const struct segue_xstate *xstate, const struct segue_fault *fault);

/* Cuts those accesses at the windows' edges and chooses the engine. After plan_accesses returned SEGUE_OK; as
 * segue_plan. */
enum segue_status plan_reach(struct segue_plan *plan, struct reach *reach);

#endif
