/* replay.c: the engine that executes the instruction itself, with its memory operand relocated.
 *
 * The relocated instruction is in a stub (an out-of-line slot). The stub is called with the thread's general registers
 * and flags, and with those components of its extended state that the instruction uses. One register that the
 * instruction does not use holds the address where the memory can be reached, and RSP is never the thread's. So the
 * processor itself does everything except addressing. Memory that is not contiguous where it is reached is copied to a
 * buffer of the same alignment, and back. */
#include "replay.h"

#include <string.h>

#include "decode/orders.h"
#include "decode/x86/canonical.h"
#include "decode/x86/vendors.h"
#include "emulate/accesses/parts.h"
#include "emulate/accesses/pieces.h"
#include "emulate/details.h"
#include "emulate/elements/lanes.h"
#include "emulate/replay/stubs/stubs.h"
#include "run.h"
#include "state.h"
#include "strings.h"

enum segue_status replay_prepare(void)
{
    state_prepare();
    /* Caches the answer now, so that no handler has to ask the system. */
    canonical_bits();
    return stubs_prepare();
}

/* Copies the operands that are read, runs the instruction, and copies back those that are written. Steps that may fail
 * come before steps that change anything. A device is called last, after the state that its refusal must restore has
 * been saved. */
static enum segue_status run_on_copies(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_plan *plan = replay->plan;
    void *area = replay->context.area;
    enum segue_status status = parts_are_probed_from_the_end(plan) ? pieces_probe_end(plan, fault) : SEGUE_OK;
    if (status != SEGUE_OK)
        return status;
    /* This also probes the memory that the instruction writes. */
    if (!parts_of_x87_store(&plan->insn) || vendors_probe_x87_store())
        status = pieces_read(plan, &replay->copies, fault);
    if (status != SEGUE_OK)
        return status;
    if (area)
        memcpy(replay->kept, area, state_fixed_size());
    status = replay_execute(replay, regs, fault);
    if (status != SEGUE_OK || !state_has_stored(replay))
        return status;
    status = pieces_write(plan, &replay->copies, fault);
    if (status == SEGUE_FAULT)
        parts_store_first(plan, &replay->copies);
    if (status != SEGUE_OK && area)
        memcpy(area, replay->kept, state_fixed_size());
    return status;
}

__attribute__((hot)) static enum segue_status carry_out(struct replay *replay, struct segue_regs *regs,
                                                        struct segue_fault *fault)
{
    replay->copies = (struct copies){0};
    replay_begin(replay);
    bool on_copies = replay->copies.bytes[0] || replay->copies.bytes[1];
    enum segue_status status = on_copies ? run_on_copies(replay, regs, fault) : replay_execute(replay, regs, fault);
    if (status != SEGUE_OK)
        return status;
    bool finished = !replay_is_repeated(&replay->plan->insn) || strings_are_finished(replay);
    uint64_t next = regs->rip + (finished ? replay->plan->insn.length : 0);
    if (!finished)
        strings_forget_flags(replay);
    replay_end(replay, regs);
    regs->rip = next;
    return SEGUE_OK;
}

/* Run by run. If a run cannot be carried out, those before it are complete; the thread executes the instruction again,
 * and meets the obstacle then. */
static enum segue_status carry_out_repeated(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    uint64_t left = details_of(replay->plan)->elements, rip = regs->rip;
    enum segue_status status = SEGUE_INVALID;
    while (left && regs->rip == rip) {
        uint64_t before = strings_count_before(replay);
        strings_choose_run(replay, left);
        status = carry_out(replay, regs, fault);
        /* For several elements on copies nothing has been done yet: retry with the first element alone, which reports
         * the fault. */
        if (status == SEGUE_FAULT && replay->elements > 1 && !replay->places[0].is_native) {
            strings_choose_run(replay, 1);
            status = carry_out(replay, regs, fault);
        }
        if (status != SEGUE_OK)
            break;
        left -= before - strings_count_before(replay);
    }
    return left != details_of(replay->plan)->elements ? SEGUE_OK : status;
}

__attribute__((hot)) enum segue_status replay_step(struct replay *replay, const struct segue_plan *plan,
                                                   struct segue_regs *regs, struct segue_xstate *xstate,
                                                   struct segue_fault *fault)
{
    if (orders_of(&plan->insn)->relocation.state && (!xstate || !xstate->area))
        return SEGUE_INVALID;
    replay->plan = plan;
    replay->elements = 0;
    replay->regs = regs;
    replay->xstate = xstate;
    if (replay_is_repeated(&plan->insn))
        return carry_out_repeated(replay, regs, fault);
    if (lanes_are_apart(plan))
        return lanes_step(replay, regs, fault);
    for (unsigned i = 0; i < plan->insn.memory_count; i++)
        replay->places[i] = replay_place_of(plan, i);
    return carry_out(replay, regs, fault);
}
