/* replay.c: the engine that runs the instruction itself, with its memory redirected.
 *
 * The instruction's redirection stands in a stub. It is called with the thread's general registers and flags, and with
 * those components of its extended state that it touches; but a register that no one misses holds the address where
 * the memory can be reached, and RSP is never the thread's. So everything but addresses is the processor's own doing.
 * Where the memory cannot be reached in one piece, it is copied to a place that is aligned alike, and back.
 */
#include "replay.h"

#include <string.h>

#include "decode/orders.h"
#include "decode/x86/canonical.h"
#include "decode/x86/vendors.h"
#include "emulate/details.h"
#include "emulate/elements/lanes.h"
#include "emulate/parts.h"
#include "emulate/pieces.h"
#include "run.h"
#include "state.h"
#include "strings.h"
#include "stubs.h"

enum segue_status replay_prepare(void)
{
    state_prepare();
    /* So that no handler has to ask the system. */
    canonical_bits();
    return stubs_prepare();
}

/* Copies what is read, runs, and copies what is written; what may fail comes before what changes anything. A device is
 * asked last, when the state that it may take back is kept. */
static enum segue_status run_on_copies(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_plan *plan = replay->plan;
    void *area = replay->context.area;
    enum segue_status status = parts_are_looked_at_from_the_end(plan) ? pieces_look_at_end(plan, fault) : SEGUE_OK;
    if (status != SEGUE_OK)
        return status;
    /* What is written is looked at here, too. */
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

static enum segue_status carry_out(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
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

/* Run by run. Where one cannot be done, those before it are; the thread comes back to the instruction, and to what
 * keeps it from going on. */
static enum segue_status carry_out_repeated(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    uint64_t left = details_of(replay->plan)->elements, rip = regs->rip;
    enum segue_status status = SEGUE_INVALID;
    while (left && regs->rip == rip) {
        uint64_t before = strings_count_before(replay);
        strings_choose_run(replay, left);
        status = carry_out(replay, regs, fault);
        /* Of several elements on copies nothing is done yet: the first tells where it is that it cannot. */
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

enum segue_status replay_step(struct replay *replay, const struct segue_plan *plan, struct segue_regs *regs,
                              struct segue_xstate *xstate, struct segue_fault *fault)
{
    if (orders_of(&plan->insn)->redirection.state && (!xstate || !xstate->area))
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
