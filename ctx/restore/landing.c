/* landing.c: fault-PC translation for a thread in a direct restore (restore_x86_64.S).
 *
 *   landing_off_list                       rdi points to the restore image, which has the registers
 *   landing_forgotten .. landing_last      the image is on top of the stack
 *   landing_mask_set ..                    the same, and the signal mask is in force
 *   landing_last                           all but the image's IRETQ part is loaded
 *   landing_shortcut                       the processor has all but what the shortcut loads
 *   landing_by_return .. landing_refused   the image is on top of the stack
 *   landing_refused ..                     the kernel's frame is
 *
 * The first instructions load the extended state; until then the handler's record is on the thread's list. */
#include "landing.h"

#include <string.h>

#include "ctx/layout.h"
#include "shortcut.h"

/* In assembly. */
extern const char landing_mask_set[], landing_by_return[];

static const struct landing *landing_at(const struct segue_regs *regs)
{
    if (code_is_at(regs->rip, landing_off_list))
        return (const struct landing *)(uintptr_t)regs->rdi;
    if (code_is_at(regs->rip, landing_last))
        return (const struct landing *)(uintptr_t)(regs->rsp - LANDING_RIP);
    if (code_is_within(regs->rip, landing_forgotten, landing_shortcut) ||
        code_is_within(regs->rip, landing_by_return, landing_refused))
        return (const struct landing *)(uintptr_t)regs->rsp;
    return NULL;
}

/* All but the segment bases, and the selectors other than CS and SS. */
static void take_landing(struct segue_regs *regs, const struct landing *landing)
{
    const struct segue_regs kept = *regs;
    *regs = (struct segue_regs){
        .rax = landing->rax,
        .rbx = landing->rbx,
        .rcx = landing->rcx,
        .rdx = landing->rdx,
        .rsi = landing->rsi,
        .rdi = landing->rdi,
        .rbp = landing->rbp,
        .rsp = landing->rsp,
        .r8 = landing->r8,
        .r9 = landing->r9,
        .r10 = landing->r10,
        .r11 = landing->r11,
        .r12 = landing->r12,
        .r13 = landing->r13,
        .r14 = landing->r14,
        .r15 = landing->r15,
        .rip = landing->rip,
        .rflags = landing->rflags,
        .fs_base = kept.fs_base,
        .gs_base = kept.gs_base,
    };
    memcpy(regs->selectors, kept.selectors, sizeof regs->selectors);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)landing->cs;
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)landing->ss;
}

static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    const struct landing *landing = landing_at(regs);
    (void)range;
    if (landing) {
        bool is_done = !landing->frame || code_is_within(regs->rip, landing_mask_set, landing_shortcut);
        take_landing(regs, landing);
        return is_done ? CODE_RANGE_REGISTERS : CODE_RANGE_SHOWN;
    }
    if (code_is_at(regs->rip, landing_shortcut)) {
        shortcut_take(regs, SHORTCUT_FLAGS, 0);
        return CODE_RANGE_REGISTERS;
    }
    if (!code_is_within(regs->rip, landing_refused, landing_refused_end))
        return CODE_RANGE_NOT_FOUND;
    *frame = (const void *)(uintptr_t)regs->rsp;
    return CODE_RANGE_FRAME;
}

const struct code_range landing_range = {landing_off_list, landing_refused_end, translate};
