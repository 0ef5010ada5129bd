/* frame.c: the system's half of Linux's signal frame: siginfo, masks, stacks, and the frame as a piece of memory.
 *
 * SOURCES: sigaction(2), sigaltstack(2); Linux include/uapi/asm-generic/siginfo.h and ucontext.h; kernel/signal.c
 * (sas_ss_flags: whether a stack is in use); arch/x86/include/asm/sigframe.h (struct rt_sigframe). */
#if !defined(__linux__)
#error "frame.c is specific to Linux"
#endif

#include "platform/frame/frame.h"
#include "platform/linux/abi.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "decode/x86/xsave.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/kept_info.h"
#include "platform/handlers/action.h"
#include "platform/linux/alternate_stack.h"

#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

_Static_assert(offsetof(ucontext_t, uc_stack.ss_sp) == ENTRY_STACK, "entry_layout.h");
_Static_assert(offsetof(ucontext_t, uc_stack.ss_size) == ENTRY_STACK_SIZE, "entry_layout.h");
_Static_assert(KERNEL_UCONTEXT_SIZE == offsetof(ucontext_t, uc_sigmask) + 8, "abi.h");
_Static_assert(offsetof(siginfo_t, si_code) == ENTRY_CODE, "entry_layout.h");
_Static_assert(offsetof(siginfo_t, si_pid) == ENTRY_PID, "entry_layout.h");
_Static_assert(SI_USER == ENTRY_CODE_USER && SI_QUEUE == ENTRY_CODE_QUEUE, "entry_layout.h");
_Static_assert(offsetof(struct kept_info, address) == offsetof(siginfo_t, si_addr), "the layout is the kernel's");

__attribute__((hot)) void frame_open(struct fault_frame *frame, struct native_frame native)
{
    frame->public.native[0] = native.info;
    frame->public.native[1] = native.context;
    frame_get_fault(native, &frame->public.fault);
    frame->mask = frame_get_mask(native.context);
    frame->alternate_stack = frame_get_alternate_stack(native.context);
    frame->is_read = false;
}

__attribute__((hot)) void frame_read(struct fault_frame *frame)
{
    const void *context = frame->public.native[1];
    frame_get_registers(context, &frame->public.regs);
    frame_get_bases(&frame->public.regs);
    frame_get_any_xstate(context, &frame->public.xstate);
    frame->is_read = true;
}

/* ---- siginfo ---- */

__attribute__((hot)) struct frame_signal frame_signal(const void *info)
{
    const siginfo_t *signal = info;
    return (struct frame_signal){signal->si_signo, signal->si_code, (uint64_t)(uintptr_t)signal->si_addr};
}

bool frame_is_sent(const void *info)
{
    return ((const siginfo_t *)info)->si_code <= 0;
}

bool frame_is_lost(const void *info)
{
    const siginfo_t *signal = info;
    return signal->si_code == SI_USER && signal->si_pid == 0 && signal->si_uid == 0;
}

bool frame_is_key_refusal(const void *info)
{
    const siginfo_t *signal = info;
    return signal->si_signo == SIGSEGV && signal->si_code == SEGV_PKUERR;
}

void kept_info_keep(struct kept_info *kept, const void *info)
{
    memcpy(kept, info, sizeof *kept);
}

void kept_info_give(const struct kept_info *kept, void *info)
{
    memset(info, 0, sizeof(siginfo_t));
    memcpy(info, kept, sizeof *kept);
}

void kept_info_send_again(const struct kept_info *kept, int number)
{
    siginfo_t info;
    kept_info_give(kept, &info);
    platform_signal_queue_again(number, &info);
}

uint64_t frame_components(void)
{
    return xsave_enabled();
}

/* ---- masks ---- */

void frame_set_mask(void *context, uint64_t mask)
{
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
}

__attribute__((hot)) uint64_t frame_get_mask(const void *context)
{
    uint64_t mask;
    memcpy(&mask, &((const ucontext_t *)context)->uc_sigmask, sizeof mask);
    return mask;
}

/* ---- stacks ---- */

static const stack_t *stack_of(const void *context)
{
    return &((const ucontext_t *)context)->uc_stack;
}

__attribute__((hot)) struct alternate_stack frame_stack_in_force(const void *context)
{
    return stack_from_system(stack_of(context));
}

/* The kernel stores the stack that was set, whether it is the one in use or not. */
__attribute__((hot)) struct frame_stack frame_get_alternate_stack(const void *context)
{
    const stack_t *stack = stack_of(context);
    return (struct frame_stack){(uint64_t)(uintptr_t)stack->ss_sp, stack->ss_size};
}

bool frame_peek_alternate_stack(const void *context, bool (*peek)(void *to, const void *from, size_t size),
                                struct frame_stack *stack)
{
    stack_t copy;
    if (!peek(&copy, stack_of(context), sizeof copy))
        return false;
    *stack = (struct frame_stack){(uint64_t)(uintptr_t)copy.ss_sp, copy.ss_size};
    return true;
}

bool frame_was_on_alternate_stack(const void *context)
{
    struct frame_stack stack = frame_get_alternate_stack(context);
    return frame_is_on(&stack, frame_stack_pointer(context));
}

bool frame_is_on_alternate_stack(const void *context)
{
    struct frame_stack stack = frame_get_alternate_stack(context);
    return frame_is_on(&stack, (uint64_t)(uintptr_t)context);
}

__attribute__((hot)) size_t frame_room(const void *context, const void *stack_pointer)
{
    const stack_t *stack = stack_of(context);
    size_t room = (size_t)((uintptr_t)stack_pointer - (uintptr_t)stack->ss_sp);
    return room <= stack->ss_size ? room : SIZE_MAX;
}

bool frame_rearms_alternate_stack(const void *context)
{
    return frame_stack_in_force(context).flags & STACK_AUTODISARM;
}

void frame_set_alternate_stack(void *context, const struct alternate_stack *wanted)
{
    stack_t *stack = &((ucontext_t *)context)->uc_stack;
    *stack = stack_to_system(wanted);
    stack->ss_flags &= ~SS_ONSTACK;
}

/* ---- the frame as memory ---- */

#define AREA_ALIGNMENT 64

static size_t area_offset(void)
{
    return (KERNEL_UCONTEXT_SIZE + AREA_LEAD + AREA_ALIGNMENT - 1) / AREA_ALIGNMENT * AREA_ALIGNMENT - AREA_LEAD;
}

size_t frame_copy_size(const void *context)
{
    return area_offset() + frame_area_size(context);
}

void *frame_copy(const void *context, void *to)
{
    const ucontext_t *frame = context;
    ucontext_t *copy = to;
    memcpy(copy, frame, KERNEL_UCONTEXT_SIZE);
    if (frame->uc_mcontext.fpregs) {
        copy->uc_mcontext.fpregs = (void *)((char *)to + area_offset());
        memcpy(copy->uc_mcontext.fpregs, frame->uc_mcontext.fpregs, frame_area_size(frame));
    }
    return copy;
}

/* The kernel puts the handler's return address below the context, siginfo_t below or after it, and the extended state
 * above both. */
void frame_get_extent(const void *context, uint64_t *low, uint64_t *high)
{
    uint64_t frame = (uint64_t)(uintptr_t)context, end = frame + FRAME_AFTER_CONTEXT;
    uint64_t area = (uint64_t)(uintptr_t)((const ucontext_t *)context)->uc_mcontext.fpregs;
    *low = frame - ENTRY_CONTEXT;
    /* The gap is due to the area's alignment. */
    *high = area - end < 2 * AREA_ALIGNMENT ? area + frame_area_size(context) : end;
}
