/* plan.h: the two halves of segue_plan, for those who learn which windows there are from the accesses. */
#ifndef SEGUE_EMULATE_PLAN_H
#define SEGUE_EMULATE_PLAN_H

#include <segue/emulate.h>

/* Bytes that lie in one window, or in none, all of them. */
struct span {
    /* NULL: they are reached at their own address. */
    const struct segue_window *window;
    /* The first and the last address. */
    uint64_t first, last;
};

/* Who knows which windows there are. The structures of those who do begin with this. */
struct reach {
    /* The span that `address` is in, as far as it lies between `low` and `high`; it may tell less of it. The window
     * must live until the step. */
    void (*span_at)(struct reach *reach, uint64_t address, uint64_t low, uint64_t high, struct span *span);
};

/* Lists the accesses of plan->insn in the plan and holds them against the fault (may be NULL). As segue_plan. */
enum segue_status plan_accesses(struct segue_plan *plan, const struct segue_regs *regs,
                                const struct segue_xstate *xstate, const struct segue_fault *fault);

/* Cuts those accesses at the windows' edges and chooses the engine. After plan_accesses returned SEGUE_OK; as
 * segue_plan. */
enum segue_status plan_reach(struct segue_plan *plan, struct reach *reach);

/* The part of an access that the step does: its lowest address, and bytes. Of repeated strings it may be less than all,
 * or nothing. Of a plan that was refused: all of the access. */
void plan_part(const struct segue_plan *plan, uint32_t number, uint64_t *address, uint64_t *size);

/* The span's place in the memory that can be accessed; NULL in callback and forced windows. */
void *plan_host(const struct segue_window *window, uint64_t address);

/* Whether the instruction is one locked operation, or makes an access that must be whole. */
bool plan_is_atomic(const struct segue_plan *plan);

#endif
