/* plan.h: the two halves of segue_plan, for those who learn which windows there are from the accesses. */
#ifndef SEGUE_EMULATE_PLAN_H
#define SEGUE_EMULATE_PLAN_H

#include <segue/emulate.h>

/* Lists the accesses of plan->insn in the plan and holds them against the fault (may be NULL). As segue_plan. */
enum segue_status plan_accesses(struct segue_plan *plan, const struct segue_regs *regs,
                                const struct segue_xstate *xstate, const struct segue_fault *fault);

/* Cuts those accesses at the windows' edges and chooses the engine. After plan_accesses returned SEGUE_OK; as
 * segue_plan. */
enum segue_status plan_windows(struct segue_plan *plan, const struct segue_window *windows, size_t window_count);

/* Whether an access begins at an address and ends at none. */
bool plan_leaves_addresses(const struct segue_plan *plan);

#endif
