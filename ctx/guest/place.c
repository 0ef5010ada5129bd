/* place.c: fault-PC translation for a thread between a host and its guest, or on the way into a handler.
 *
 *   the page, gate_enter .. gate_enter_end          the guest, before its first instruction: the gate has its registers
 *   the page, gate_call .. gate_code_end            the guest, after its call
 *   gate_entry .. guest_dispatch_begun              the same: only memory below the stack pointer has changed
 *   guest_run_handler .. _pushed, the entries       a handler that begins: rdx is the signal frame
 *   guest_run_handler_pushed .. _end                a handler that begins or ends: rsp and rbp locate it
 *
 * The host has called guest_go and guest_out as functions: their unwind tables lead to it. */
#include "gate.h"

#include <string.h>

/* The calling thread's record in the table; NULL before its first guest. */
extern __thread struct guest_thread *guest_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

extern const char guest_signal_entry_end[];
/* In the page: from the first label on the gate has all registers except the stack pointer and the instruction
 * pointer; from the second on, those too. */
extern const char gate_call_stored[], gate_call_left[];

/* After the call whose return address is on top of the stack. */
static void take_return(struct segue_regs *regs)
{
    regs->rip = *(const uint64_t *)(uintptr_t)regs->rsp;
    regs->rsp += sizeof regs->rip;
}

/* The guest's, as the gate has them. */
static void take_gate(struct segue_regs *regs, const struct gate *gate)
{
    const struct segue_regs kept = *regs;
    *regs = gate->regs;
    regs->fs_base = kept.fs_base;
    regs->gs_base = kept.gs_base;
    memcpy(regs->selectors, kept.selectors, sizeof regs->selectors);
}

/* No instruction of the page changes a flag except POPFQ and IRETQ, on the way in. */
static void take_call(struct segue_regs *regs, const struct gate *gate, const char *page)
{
    const struct segue_regs live = *regs;
    if (code_is_within(live.rip, page, page + (gate_call_stored - gate_code))) {
        take_return(regs);
        return;
    }
    take_gate(regs, gate);
    regs->rflags = live.rflags;
    if (code_is_within(live.rip, page, page + (gate_call_left - gate_code))) {
        regs->rsp = live.rsp;
        take_return(regs);
    }
}

static enum code_range_result translate_page(const struct code_range *range, struct segue_regs *regs,
                                             const void **frame)
{
    const struct gate *gate = guest_self ? guest_self->gate : NULL;
    (void)range;
    (void)frame;
    if (!gate)
        return CODE_RANGE_NOT_FOUND;
    const char *page = (const char *)gate - GATE_CODE_SIZE;
    if (!code_is_within(regs->rip, page, page + (gate_code_end - gate_code)))
        return CODE_RANGE_NOT_FOUND;
    if (code_is_within(regs->rip, page, page + (gate_enter_end - gate_code)))
        take_gate(regs, gate);
    else
        take_call(regs, gate, page);
    return CODE_RANGE_SHOWN;
}

static enum code_range_result translate_call(const struct code_range *range, struct segue_regs *regs,
                                             const void **frame)
{
    (void)range;
    (void)frame;
    take_return(regs);
    return CODE_RANGE_SHOWN;
}

static enum code_range_result translate_handler(const struct code_range *range, struct segue_regs *regs,
                                                const void **frame)
{
    uint64_t at;
    (void)range;
    if (code_is_at(regs->rip, guest_run_handler_pushed))
        at = regs->rsp + 16;
    else if (code_is_within(regs->rip, guest_run_handler_framed, guest_run_handler_popped))
        at = regs->rbp + 16;
    else if (code_is_at(regs->rip, guest_run_handler_popped))
        at = regs->rsp + 8;
    else
        at = regs->rdx;
    *frame = (const void *)(uintptr_t)at;
    return CODE_RANGE_FRAME;
}

const struct code_range guest_page_range = {NULL, NULL, translate_page};
const struct code_range guest_call_range = {gate_entry, guest_dispatch_begun, translate_call};
const struct code_range guest_handler_range = {guest_run_handler, guest_run_handler_end, translate_handler};
const struct code_range guest_entry_range = {guest_signal_entry, guest_signal_entry_end, translate_handler};
