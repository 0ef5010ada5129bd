/* entry_x86_64.c: fault-PC translation for a thread that stands in entry_x86_64.S, where its handling record
 * (ctx/handling.h) is not linked yet, or not linked any more.
 *
 *   signal_entry, suspend_entry         rdx is the signal frame
 *   signal_begin .. signal_recorded     the same
 *   signal_recorded .. _forgotten       the record names the frame
 *   signal_forgotten, signal_return     the stack pointer is right below the frame
 *
 * SOURCES: Linux arch/x86/include/asm/sigframe.h (struct rt_sigframe: the restorer's address, then the ucontext, which
 * rdx holds at a handler's entry). */
#if !defined(__x86_64__)
#error "entry_x86_64.c is specific to x86-64"
#endif

#include "signal_entry.h"

#include "ctx/handling.h"
#include "signals/mutator/suspend.h"

#define RETURN_ADDRESS_SIZE 8

/* In assembly. */
extern const char signal_entry_end[], suspend_entry_end[];
extern const char signal_begin[], signal_begin_end[], signal_recorded[], signal_forgotten[], signal_return[];

static enum code_range_result translate_entry(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    (void)range;
    *frame = (const void *)(uintptr_t)regs->rdx;
    return CODE_RANGE_FRAME;
}

static enum code_range_result translate_begin(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    uint64_t at = regs->rdx;
    (void)range;
    if (code_is_within(regs->rip, signal_recorded, signal_forgotten))
        return CODE_RANGE_NOT_FOUND;
    if (code_is_at(regs->rip, signal_forgotten))
        at = regs->rsp + sizeof(struct handling) + RETURN_ADDRESS_SIZE;
    else if (code_is_at(regs->rip, signal_return))
        at = regs->rsp + RETURN_ADDRESS_SIZE;
    *frame = (const void *)(uintptr_t)at;
    return CODE_RANGE_FRAME;
}

const struct code_range entry_range = {(const void *)signal_entry, signal_entry_end, translate_entry};
const struct code_range entry_suspend_range = {(const void *)suspend_entry, suspend_entry_end, translate_entry};
const struct code_range entry_begin_range = {signal_begin, signal_begin_end, translate_begin};
