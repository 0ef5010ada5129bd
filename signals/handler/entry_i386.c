/* entry_i386.c: fault-PC translation for a thread that stands in entry_i386.S, where its handling record
 * (ctx/handling.h) is not linked yet, or not linked any more: by the stack pointer. In signal_begin a call to the next
 * instruction pushes a word and pops it again.
 *
 * SOURCES: Linux arch/x86/include/asm/sigframe.h (struct rt_sigframe_ia32: where the ucontext is). */
#if !defined(__i386__)
#error "entry_i386.c is specific to i386"
#endif

#include "signal_entry.h"

#include "ctx/layout.h"
#include "platform/frame/entry_layout.h"
#include "signals/mutator/suspend.h"

/* signal_begin's: the arguments of signal_serve, and the record. */
#define ROOM_MADE (16 + HANDLING_SIZE)
#define CALL_SIZE 5u

/* In assembly. */
extern const char signal_entry_end[], suspend_entry_end[], suspend_room_made[], suspend_return[];
extern const char signal_begin[], signal_begin_end[], signal_room_made[], signal_recorded[], signal_forgotten[],
    signal_return[];

static enum code_range_result translate_entry(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    bool is_made = code_is_within(regs->rip, suspend_room_made, suspend_return);
    (void)range;
    *frame = (const void *)(uintptr_t)(regs->rsp + ENTRY_CONTEXT + (is_made ? ROOM_MADE : 0));
    return CODE_RANGE_FRAME;
}

/* Whether the thread is at the POP of a call to the next instruction. */
static bool has_called_itself(uint64_t rip)
{
    static const uint8_t next[CALL_SIZE] = {0xe8};
    return __builtin_memcmp((const void *)(uintptr_t)(rip - CALL_SIZE), next, CALL_SIZE) == 0;
}

static enum code_range_result translate_begin(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    uint64_t at = regs->rsp + ENTRY_CONTEXT;
    (void)range;
    if (code_is_within(regs->rip, signal_recorded, signal_forgotten))
        return CODE_RANGE_NOT_FOUND;
    if (code_is_within(regs->rip, signal_room_made, signal_recorded) || code_is_at(regs->rip, signal_forgotten))
        at += ROOM_MADE;
    else if (has_called_itself(regs->rip))
        at += sizeof(uint32_t);
    *frame = (const void *)(uintptr_t)at;
    return CODE_RANGE_FRAME;
}

const struct code_range entry_range = {(const void *)signal_entry, signal_entry_end, translate_entry};
const struct code_range entry_suspend_range = {(const void *)suspend_entry, suspend_entry_end, translate_entry};
const struct code_range entry_begin_range = {signal_begin, signal_begin_end, translate_begin};
