/* frame.c: what Linux's signal frames have in common: siginfo, the processor's report, masks, stacks, and the frame as
 * a piece of memory. words.h has the places of words that differ.
 *
 * SOURCES: sigaction(2), sigaltstack(2); Linux include/uapi/asm-generic/siginfo.h and ucontext.h; kernel/signal.c
 * (sas_ss_flags: whether a stack is in use); arch/x86/include/asm/sigframe.h (struct rt_sigframe),
 * arch/x86/kernel/traps.c (a general protection fault is SI_KERNEL with address 0, and leaves the last page fault's
 * address in the frame; send_sigtrap: a step trap's siginfo), mm/fault.c (si_addr is CR2), fpu/signal.c
 * (check_xstate_in_sigframe); Intel SDM volume 3, 6.15 (page-fault error code) and 17.3.1.1 (the resume flag is set in
 * the flags that a fault saves, not in those of an interrupt or a system call). */
#if !defined(__linux__)
#error "frame.c is specific to Linux"
#endif

#include "platform/frame/frame.h"
#include "decode/x86/traps.h"
#include "platform/linux/abi.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/kept_info.h"
#include "platform/frame/open.h"
#include "platform/handlers/action.h"
#include "platform/linux/alternate_stack.h"
#include "software_bytes.h"
#include "words.h"

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
    open_frame(frame, native);
}

/* ---- to decide whose the signal is ---- */

__attribute__((hot)) void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    const siginfo_t *info = native.info;
    const uint64_t trap = word_of(native.context, REG_TRAPNO), address = (uintptr_t)info->si_addr;
    /* Positive codes are the kernel's, but a thread may send itself any. */
    if (info->si_code <= 0)
        return false;
    if (info->si_code == SI_KERNEL)
        return true;
    switch (info->si_signo) {
    case SIGBUS:
        /* BUS_MCEERR_AO reports broken memory that no thread has touched yet. */
        if (info->si_code == BUS_MCEERR_AO)
            return false;
        if (info->si_code == BUS_MCEERR_AR || trap == TRAP_ALIGNMENT)
            return true;
        break;
    case SIGSEGV:
        if (trap == TRAP_CONTROL)
            return true;
        break;
    case SIGFPE:
        return address == frame_instruction(native.context);
    default:
        return true;
    }
    return trap == TRAP_PAGE_FAULT && address == word_fault_address(native.context);
}

__attribute__((hot)) bool frame_is_fault_for_sure(const void *context)
{
    return frame_flags(context) & FLAG_RESUME;
}

void frame_set_kernel_signal(struct native_frame native, int number)
{
    *(siginfo_t *)native.info = (siginfo_t){.si_signo = number, .si_code = SI_KERNEL};
}

void frame_set_step_trap(struct native_frame native)
{
    siginfo_t *info = native.info;
    struct frame_exception exception;
    frame_get_exception(native.context, &exception);
    exception.trap = TRAP_DEBUG;
    exception.error_code = 0;
    frame_set_exception(native.context, &exception);
    memset(info, 0, sizeof *info);
    info->si_signo = SIGTRAP;
    info->si_code = TRAP_TRACE;
    info->si_addr = (void *)(uintptr_t)frame_instruction(native.context);
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

/* ---- the processor's report ---- */

__attribute__((hot)) uint64_t frame_instruction(const void *context)
{
    return word_of(context, WORD_INSTRUCTION);
}

void frame_set_instruction(void *context, uint64_t rip)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[WORD_INSTRUCTION] = (greg_t)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return word_of(context, WORD_STACK_POINTER);
}

__attribute__((hot)) uint64_t frame_flags(const void *context)
{
    return word_of(context, REG_EFL);
}

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const siginfo_t *info = native.info;
    *fault = (struct segue_fault){
        .trap = (uint8_t)word_of(native.context, REG_TRAPNO),
        .error_code = (uint32_t)word_of(native.context, REG_ERR),
        .instruction = frame_instruction(native.context),
        .signal = info->si_signo,
        .code = info->si_code,
    };
    if (fault->trap != TRAP_PAGE_FAULT || info->si_code == SI_KERNEL)
        return;
    fault->address_known = true;
    fault->address = word_fault_address(native.context);
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = (fault->error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    exception->trap = word_of(context, REG_TRAPNO);
    exception->error_code = word_of(context, REG_ERR);
    exception->address = word_fault_address(context);
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    greg_t *to = ((ucontext_t *)context)->uc_mcontext.gregs;
    to[REG_TRAPNO] = (greg_t)exception->trap;
    to[REG_ERR] = (greg_t)exception->error_code;
    word_set_fault_address(context, exception->address);
}

/* ---- extended state ---- */

uint64_t frame_components(void)
{
    return xsave_enabled();
}

/* A kernel without XSAVE writes its software bytes all the same, with no features and FXSAVE's size; the area then
 * holds x87 and SSE. */
__attribute__((hot)) void frame_get_xstate(const void *context, struct segue_xstate *xstate)
{
    char *area = word_area_of(context);
    const struct software_bytes *software = (const void *)(area + XSAVE_SOFTWARE);
    *xstate = (struct segue_xstate){.area = NULL};
    if (!area || software->magic != SOFTWARE_MAGIC)
        return;
    *xstate = (struct segue_xstate){.area = area, .size = software->xstate_size, .features = software->features};
    if (xstate->size == XSAVE_LEGACY_SIZE)
        xstate->features = COMPONENTS_LEGACY;
}

/* A frame in FXSAVE's format has x87 and SSE. */
bool frame_gather_into(void *context, void *area, size_t size)
{
    (void)context;
    (void)area;
    (void)size;
    return true;
}

__attribute__((hot)) void frame_scatter(void *context)
{
    (void)context;
}

__attribute__((hot)) void frame_get_any_xstate(const void *context, struct segue_xstate *xstate)
{
    void *area = word_area_of(context);
    frame_get_xstate(context, xstate);
    if (!xstate->area && area)
        *xstate = (struct segue_xstate){.area = area, .size = XSAVE_LEGACY_SIZE, .features = COMPONENTS_LEGACY};
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

__attribute__((hot)) bool frame_is_on_alternate_stack(const void *context)
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
