/* large_plan.h: a plan with room for the accesses of every instruction. */
#ifndef SEGUE_TESTS_LARGE_PLAN_H
#define SEGUE_TESTS_LARGE_PLAN_H

#include <segue/emulate.h>

union large_plan {
    struct segue_plan plan;
    _Alignas(64) uint8_t memory[SEGUE_PLAN_SIZE_MOST];
};

/* As segue_plan. */
static inline enum segue_status large_plan_make(const struct segue_insn *insn, const struct segue_regs *regs,
                                                const struct segue_xstate *xstate, const struct segue_fault *fault,
                                                const struct segue_window *windows, size_t window_count,
                                                union large_plan *large)
{
    const struct segue_plan *plan;
    return segue_plan_in(large->memory, sizeof large->memory, insn, regs, xstate, fault, windows, window_count, &plan);
}

#endif
