/* frame.c: the system's half of an exception: its number and its report. Without masks and alternate stacks,
 * handlers run on the thread's own stack.
 *
 * SOURCES: Microsoft, EXCEPTION_RECORD (ExceptionInformation of access violations and in-page errors); winternl's
 * exception codes. */
#if !defined(_WIN32)
#error "platform/windows/frame/frame.c is specific to Windows"
#endif

#include "platform/frame/frame.h"

#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/traps.h"
#include "native.h"
#include "platform/frame/kept_info.h"
#include "platform/frame/stack.h"
#include "platform/handlers/numbers.h"
#include "platform/threads/thread.h"

/* ExceptionInformation: what was tried. */
#define KIND_WRITE 1u
#define KIND_FETCH 8u

static const struct native_info *info_of(const void *info)
{
    return info;
}

static struct native_context *context_of(const void *context)
{
    return (struct native_context *)(uintptr_t)context;
}

/* A page with PAGE_GUARD is open when its exception is reported. */
static int number_of(uint32_t code)
{
    switch (code) {
    case EXCEPTION_ACCESS_VIOLATION:
    case STATUS_GUARD_PAGE_VIOLATION:
        return SIGSEGV;
    case EXCEPTION_IN_PAGE_ERROR:
    case EXCEPTION_DATATYPE_MISALIGNMENT:
        return SIGBUS;
    case EXCEPTION_INT_DIVIDE_BY_ZERO:
    case EXCEPTION_INT_OVERFLOW:
    case EXCEPTION_FLT_DENORMAL_OPERAND:
    case EXCEPTION_FLT_DIVIDE_BY_ZERO:
    case EXCEPTION_FLT_INEXACT_RESULT:
    case EXCEPTION_FLT_INVALID_OPERATION:
    case EXCEPTION_FLT_OVERFLOW:
    case EXCEPTION_FLT_STACK_CHECK:
    case EXCEPTION_FLT_UNDERFLOW:
    case STATUS_FLOAT_MULTIPLE_FAULTS:
    case STATUS_FLOAT_MULTIPLE_TRAPS:
        return SIGFPE;
    case EXCEPTION_BREAKPOINT:
    case EXCEPTION_SINGLE_STEP:
        return SIGTRAP;
    default:
        return 0;
    }
}

/* A general protection fault is reported as a read at the last address. */
static uint64_t trap_of(const struct native_info *info)
{
    switch (info->code) {
    case EXCEPTION_ACCESS_VIOLATION:
        return info->kind == 0 && info->address == UINT64_MAX ? TRAP_GENERAL_PROTECTION : TRAP_PAGE_FAULT;
    case EXCEPTION_IN_PAGE_ERROR:
    case STATUS_GUARD_PAGE_VIOLATION:
        return TRAP_PAGE_FAULT;
    case EXCEPTION_DATATYPE_MISALIGNMENT:
        return TRAP_ALIGNMENT;
    case EXCEPTION_SINGLE_STEP:
        return TRAP_DEBUG;
    default:
        return 0;
    }
}

bool native_open(struct native_info *info, struct native_context *context, const EXCEPTION_POINTERS *exception)
{
    EXCEPTION_RECORD *record = exception->ExceptionRecord;
    int number = number_of(record->ExceptionCode);
    if (!number || (record->ExceptionFlags & EXCEPTION_NONCONTINUABLE))
        return false;
    *info = (struct native_info){.number = number, .code = record->ExceptionCode, .record = record};
    info->address = (uint64_t)(uintptr_t)record->ExceptionAddress;
    if (record->NumberParameters >= 2) {
        info->kind = record->ExceptionInformation[0];
        info->address = record->ExceptionInformation[1];
    }
    native_begin(context, exception->ContextRecord);
    context->trap = trap_of(info);
    context->address = info->address;
    return true;
}

void native_begin(struct native_context *context, CONTEXT *thread)
{
    context->self = context;
    context->outer = NULL;
    context->thread = thread;
    context->stack_pointer = thread->Rsp;
    context->trap = context->address = 0;
    context->state.is_gathered = false;
}

/* ---- the handlers that a thread is in ---- */

/* The most nested handlers. */
#define NESTED_MOST 64u
/* A function of the system uses less stack until it has taken over a copy. */
#define LEAVING_STACK 4096u

__thread struct native_thread native_thread;

/* A handler that the interrupted code has left without a return is below its stack pointer. */
void native_enter(struct native_context *context)
{
    struct native_context *outer = native_thread.innermost;
    context->outer = (uint64_t)(uintptr_t)outer > context->stack_pointer ? outer : NULL;
    native_thread.leaves_at = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = context;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void native_leave(const struct native_context *context)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = context->outer;
}

/* The stack of a handler that was left may be unmapped. */
static bool read_handler(const struct native_context *at, struct native_context *of[2])
{
    SIZE_T done;
    return ReadProcessMemory(GetCurrentProcess(), at, of, 2 * sizeof *of, &done) && of[0] == at;
}

void *native_outermost(const struct native_thread *thread, uint64_t stack_pointer)
{
    struct native_context *at = thread->innermost, *outermost = NULL, *words[2];
    _Static_assert(offsetof(struct native_context, outer) == sizeof words[0], "the words are the first two");
    uint64_t below = stack_pointer;
    for (unsigned i = 0; i < NESTED_MOST && (uint64_t)(uintptr_t)at > below && read_handler(at, words); i++) {
        outermost = at;
        below = (uint64_t)(uintptr_t)at;
        at = words[1];
    }
    return outermost;
}

bool native_leaves(const struct native_thread *thread, uint64_t stack_pointer)
{
    return thread->leaves_at && thread->leaves_at - stack_pointer < LEAVING_STACK;
}

struct frame_signal frame_signal(const void *info)
{
    const struct native_info *of = info_of(info);
    return (struct frame_signal){of->number, (int)of->code, of->address};
}

/* A program may raise any exception itself; its report must agree with the instruction (fault_was_sent). */
__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    (void)native;
    return true;
}

__attribute__((hot)) bool frame_is_fault_for_sure(const void *context)
{
    return context_of(context)->thread->EFlags & FLAG_RESUME;
}

bool frame_is_sent(const void *info)
{
    (void)info;
    return false;
}

void frame_set_kernel_signal(struct native_frame native, int number)
{
    ((struct native_info *)native.info)->number = number;
}

void frame_set_step_trap(struct native_frame native)
{
    struct native_info *info = native.info;
    struct native_context *context = native.context;
    context->trap = TRAP_DEBUG;
    /* As in the system's own report of a trap. */
    context->thread->EFlags &= ~(DWORD)FLAG_TRAP;
    info->number = SIGTRAP;
    info->code = EXCEPTION_SINGLE_STEP;
    info->address = context->thread->Rip;
    info->record->ExceptionCode = EXCEPTION_SINGLE_STEP;
    info->record->ExceptionAddress = (void *)(uintptr_t)context->thread->Rip;
    info->record->NumberParameters = 0;
}

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const struct native_info *info = native.info;
    const struct native_context *context = native.context;
    *fault = (struct segue_fault){
        .trap = (uint8_t)context->trap,
        .instruction = context->thread->Rip,
        .code = (int32_t)info->code,
    };
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address_known = true;
    fault->address = context->address;
    if (info->kind == KIND_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = info->kind == KIND_WRITE ? SEGUE_WRITE : SEGUE_READ;
}

__attribute__((hot)) void frame_open(struct fault_frame *frame, struct native_frame native)
{
    frame->public.native[0] = native.info;
    frame->public.native[1] = native.context;
    memset(frame->public.private_, 0, sizeof frame->public.private_);
    frame_get_fault(native, &frame->public.fault);
    frame->mask = 0;
    frame->alternate_stack = (struct frame_stack){0, 0};
    frame->is_read = false;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    *exception = (struct frame_exception){.trap = context_of(context)->trap, .address = context_of(context)->address};
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    context_of(context)->trap = exception->trap;
    context_of(context)->address = exception->address;
}

/* ---- what is kept of an exception ---- */

void kept_info_keep(struct kept_info *kept, const void *info)
{
    const struct native_info *of = info_of(info);
    *kept = (struct kept_info){.si_signo = of->number, .address = of->address};
    kept->words[0] = (int)of->code;
    kept->words[1] = (int)of->kind;
}

/* The handlers behind the library's see it in the record. */
void kept_info_give(const struct kept_info *kept, void *info)
{
    struct native_info *to = info;
    to->number = kept->si_signo;
    to->code = (uint32_t)kept->words[0];
    to->kind = (uint32_t)kept->words[1];
    to->address = kept->address;
    to->record->ExceptionCode = to->code;
    to->record->NumberParameters = 0;
    if (to->number == SIGFPE)
        return;
    to->record->NumberParameters = 2;
    to->record->ExceptionInformation[0] = to->kind;
    to->record->ExceptionInformation[1] = to->address;
}

/* ---- masks and alternate stacks, which the system does not have ---- */

uint64_t frame_get_mask(const void *context)
{
    (void)context;
    return 0;
}

void frame_set_mask(void *context, uint64_t mask)
{
    (void)context;
    (void)mask;
}

__attribute__((hot)) struct frame_stack frame_get_alternate_stack(const void *context)
{
    (void)context;
    return (struct frame_stack){0, 0};
}

bool frame_peek_alternate_stack(const void *context, bool (*peek)(void *to, const void *from, size_t size),
                                struct frame_stack *stack)
{
    (void)context;
    (void)peek;
    *stack = (struct frame_stack){0, 0};
    return true;
}

bool frame_was_on_alternate_stack(const void *context)
{
    (void)context;
    return false;
}

bool frame_is_on_alternate_stack(const void *context)
{
    (void)context;
    return false;
}

__attribute__((hot)) size_t frame_room(const void *context, const void *stack_pointer)
{
    (void)context;
    (void)stack_pointer;
    return SIZE_MAX;
}

struct alternate_stack frame_stack_in_force(const void *context)
{
    (void)context;
    return (struct alternate_stack){.flags = STACK_DISABLED};
}
