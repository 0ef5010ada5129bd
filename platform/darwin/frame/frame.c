/* frame.c: the system's half of a frame: which signal it is, and masks.
 *
 * Signals' codes say nothing here: kill(2) of SIGBUS has the code of a fault. A fault is recognised by what the
 * processor has reported, which the frame holds; it is the thread's last fault if the signal was sent.
 *
 * SOURCES: XNU bsd/dev/i386/unix_signal.c (sendsig; the codes, and when there is an address), bsd/uxkern/ux_exception.c
 * (a closed page is SIGBUS, an unmapped one SIGSEGV); Intel SDM volume 3, 6.15 (page-fault error code). */
#if !defined(__APPLE__)
#error "platform/darwin/frame/frame.c is specific to macOS"
#endif

#include "platform/frame/frame.h"

#include <signal.h>
#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/traps.h"
#include "native.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/kept_info.h"
#include "platform/threads/thread.h"

static struct native_context *context_of(const void *context)
{
    return (struct native_context *)(uintptr_t)context;
}

/* ---- whose it is ---- */

void native_open(struct native_info *info, struct native_context *context, const siginfo_t *told, ucontext_t *system,
                 struct gathered_room *room)
{
    struct __darwin_mcontext64 *machine = system->uc_mcontext;
    *info = (struct native_info){
        .number = told->si_signo, .code = told->si_code, .address = (uint64_t)(uintptr_t)told->si_addr};
    context->self = context;
    context->outer = NULL;
    context->general = &machine->__ss;
    context->exception = &machine->__es;
    context->vectors = (unsigned char *)&machine->__fs;
    context->vectors_size = system->uc_mcsize - offsetof(struct __darwin_mcontext64, __fs);
    context->mask = &system->uc_sigmask;
    context->was_on_stack = system->uc_onstack & 1;
    gathered_begin(&context->state, room);
    if (platform_stack_exchange(NULL, &context->stack) != 0)
        context->stack = (struct alternate_stack){.flags = STACK_DISABLED};
    info->is_sent = !frame_is_fault((struct native_frame){info, context});
}

__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    const struct native_info *info = native.info;
    const x86_exception_state64_t *exception = context_of(native.context)->exception;
    switch (info->number) {
    case SIGSEGV:
    case SIGBUS:
        return exception->__trapno == TRAP_GENERAL_PROTECTION || exception->__trapno == TRAP_ALIGNMENT ||
               exception->__trapno == TRAP_STACK ||
               (exception->__trapno == TRAP_PAGE_FAULT && info->address == exception->__faultvaddr);
    case SIGFPE:
        return info->address == frame_instruction(native.context);
    default:
        return info->number > 0 && (SIGNALS_SYNCHRONOUS & SIGNAL_BIT(info->number));
    }
}

void frame_set_step_trap(struct native_frame native)
{
    struct native_context *context = native.context;
    *(struct native_info *)native.info =
        (struct native_info){.number = SIGTRAP, .code = TRAP_BRKPT, .address = frame_instruction(context)};
    context->exception->__trapno = TRAP_DEBUG;
    context->exception->__err = 0;
}

/* ---- the report ---- */

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const struct native_info *info = native.info;
    const struct native_context *context = native.context;
    *fault = (struct segue_fault){
        .trap = (uint8_t)context->exception->__trapno,
        .error_code = context->exception->__err,
        .instruction = context->general->__rip,
        .signal = info->number,
        .code = info->code,
    };
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address_known = true;
    fault->address = context->exception->__faultvaddr;
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = (fault->error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    const x86_exception_state64_t *from = context_of(context)->exception;
    *exception = (struct frame_exception){from->__trapno, from->__err, from->__faultvaddr};
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    x86_exception_state64_t *to = context_of(context)->exception;
    to->__trapno = (uint16_t)exception->trap;
    to->__err = (uint32_t)exception->error_code;
    to->__faultvaddr = exception->address;
}

void kept_info_keep(struct kept_info *kept, const void *info)
{
    const struct native_info *of = info;
    *kept = (struct kept_info){.si_signo = of->number, .words = {of->code}, .address = of->address};
}

void kept_info_give(const struct kept_info *kept, void *info)
{
    *(struct native_info *)info =
        (struct native_info){.number = kept->si_signo, .code = kept->words[0], .address = kept->address};
}

/* ---- masks ---- */

__attribute__((hot)) uint64_t frame_get_mask(const void *context)
{
    return *context_of(context)->mask;
}

void frame_set_mask(void *context, uint64_t mask)
{
    *context_of(context)->mask = (uint32_t)mask;
}
