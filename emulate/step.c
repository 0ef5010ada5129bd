/* step.c: carries out a plan, and recovers from faults in guarded accesses. */
#include <segue/emulate.h>

#include "decode/orders.h"
#include "decode/x86/flags.h"
#include "emulate/engines/move.h"
#include "emulate/plan.h"
#include "emulate/replay/run.h"
#include "emulate/replay/stubs/stubs.h"
#include "emulate/windows/guard.h"
#include "platform/reason.h"
#include "scratch.h"

__attribute__((hot)) enum segue_status step_in(struct step_scratch *scratch, const struct segue_plan *plan,
                                               struct segue_regs *regs, struct segue_xstate *xstate,
                                               struct segue_fault *fault)
{
    enum segue_status status = SEGUE_INVALID;
    if (!plan || !regs)
        return status;
    if (plan->engine == SEGUE_ENGINE_MOVE)
        status = move_step(plan, regs, fault);
    else if (plan->engine == SEGUE_ENGINE_REPLAY) {
        scratch->replay.holder = scratch->holder;
        status = replay_step(&scratch->replay, plan, regs, xstate, fault);
    } else if (plan->engine == SEGUE_ENGINE_STACK)
        status = stack_step(&scratch->transfer, plan, regs, fault);
    if (status != SEGUE_OK)
        return status;
    if (plan->engine == SEGUE_ENGINE_MOVE)
        regs->rip += plan->insn.length;
    if (plan->insn.mode == SEGUE_MODE_32) {
        regs->rip = (uint32_t)regs->rip;
        regs->rsp = (uint32_t)regs->rsp;
    }
    /* RF is set in the flags that a fault saves, and every instruction that completes clears it (SDM volume 3,
     * 17.3.1.1), except IRET, which loads it for the instruction that it returns to. */
    if (orders_of(&plan->insn)->transfer.kind != INSN_TRANSFER_INTERRUPT_RETURN)
        regs->rflags &= ~FLAG_RESUME;
    return SEGUE_OK;
}

enum segue_status segue_step(const struct segue_plan *plan, struct segue_regs *regs, struct segue_xstate *xstate,
                             struct segue_fault *fault)
{
    struct step_scratch scratch;
    if (plan && plan->engine != SEGUE_ENGINE_NONE && !plan_is_in_place(plan))
        return reason_give(SEGUE_INVALID, "the plan was copied: its accesses are where it was made");
    scratch.holder = STEP_NO_HOLDER;
    return step_in(&scratch, plan, regs, xstate, fault);
}

void step_abandon(struct step_scratch *scratch)
{
    if (scratch->holder != STEP_NO_HOLDER)
        stubs_abandon(scratch->holder);
}

__attribute__((hot)) bool segue_recover(uint64_t *rip)
{
    if (replay_recover(rip))
        return true;
    if (*rip < (uint64_t)(uintptr_t)guard_begin || *rip >= (uint64_t)(uintptr_t)guard_end)
        return false;
    *rip = (uint64_t)(uintptr_t)guard_failed;
    return true;
}

__attribute__((hot)) size_t segue_peek(void *to, uint64_t address, size_t size)
{
    const void *from = (const void *)(uintptr_t)address;
    /* Fast path, for an instruction with room to spare: one load. */
    if (size == 16 && guard_load_16(from, to) == 0)
        return size;
    return size - guard_copy(to, from, size);
}
