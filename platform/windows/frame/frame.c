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

/* Either word. */
static struct native *native_of(const void *word)
{
    return (struct native *)(uintptr_t)word;
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
static uint8_t trap_of(const struct native *native)
{
    switch (native->record->ExceptionCode) {
    case EXCEPTION_ACCESS_VIOLATION:
        return native->kind == 0 && native->address == UINTPTR_MAX ? TRAP_GENERAL_PROTECTION : TRAP_PAGE_FAULT;
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

bool native_open(struct native *native, struct gathered_room *room, const EXCEPTION_POINTERS *exception)
{
    EXCEPTION_RECORD *record = exception->ExceptionRecord;
    int number = number_of(record->ExceptionCode);
    if (!number || (record->ExceptionFlags & EXCEPTION_NONCONTINUABLE))
        return false;
    native_begin(native, exception->ContextRecord, room);
    native->number = number;
    native->record = record;
    native->address = (uint64_t)(uintptr_t)record->ExceptionAddress;
    if (record->NumberParameters >= 2) {
        native->kind = (uint8_t)record->ExceptionInformation[0];
        native->address = record->ExceptionInformation[1];
    }
    native->trap = trap_of(native);
    return true;
}

void native_begin(struct native *native, CONTEXT *thread, struct gathered_room *room)
{
    native->number = 0;
    native->kind = native->trap = 0;
    native->is_passed_on = false;
    native->address = 0;
    native->record = NULL;
    native->thread = thread;
    native->stack_pointer = thread->STACK_POINTER;
    gathered_begin(&native->state, room);
}

/* ---- the handlers that a thread is in ---- */

/* The most nested handlers. */
#define NESTED_MOST 64u
/* A function of the system uses less stack until it has taken over a copy. */
#define LEAVING_STACK 4096u

__thread struct native_thread native_thread;

/* A handler that the interrupted code has left without a return is below its stack pointer. */
void native_enter(struct native_handler *handler)
{
    struct native_handler *outer = native_thread.innermost;
    handler->self = handler;
    handler->outer = (uint64_t)(uintptr_t)outer > handler->native.stack_pointer ? outer : NULL;
    native_thread.leaves_at = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = handler;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void native_leave(const struct native_handler *handler)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = handler->outer;
}

/* The stack of a handler that was left may be unmapped. */
static bool read_handler(const struct native_handler *at, struct native_handler *of[2])
{
    SIZE_T done;
    return ReadProcessMemory(GetCurrentProcess(), at, of, 2 * sizeof *of, &done) && of[0] == at;
}

void *native_outermost(const struct native_thread *thread, uint64_t stack_pointer)
{
    struct native_handler *at = thread->innermost, *outermost = NULL, *words[2];
    _Static_assert(offsetof(struct native_handler, outer) == sizeof words[0], "the words are the first two");
    uint64_t below = stack_pointer;
    for (unsigned i = 0; i < NESTED_MOST && (uint64_t)(uintptr_t)at > below && read_handler(at, words); i++) {
        outermost = at;
        below = (uint64_t)(uintptr_t)at;
        at = words[1];
    }
    return outermost ? &outermost->native : NULL;
}

bool native_leaves(const struct native_thread *thread, uint64_t stack_pointer)
{
    return thread->leaves_at && thread->leaves_at - stack_pointer < LEAVING_STACK;
}

struct frame_signal frame_signal(const void *info)
{
    const struct native *of = native_of(info);
    return (struct frame_signal){of->number, of->record ? (int)of->record->ExceptionCode : 0, of->address};
}

/* A program may raise any exception itself; its report must agree with the instruction (fault_was_sent). */
__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    (void)native;
    return true;
}

__attribute__((hot)) bool frame_is_fault_for_sure(const void *context)
{
    return native_of(context)->thread->EFlags & FLAG_RESUME;
}

bool frame_is_sent(const void *info)
{
    (void)info;
    return false;
}

void frame_set_kernel_signal(struct native_frame native, int number)
{
    native_of(native.info)->number = number;
}

void frame_set_step_trap(struct native_frame native)
{
    struct native *of = native_of(native.info);
    of->trap = TRAP_DEBUG;
    /* As in the system's own report of a trap. */
    of->thread->EFlags &= ~(DWORD)FLAG_TRAP;
    of->number = SIGTRAP;
    of->address = of->thread->INSTRUCTION_POINTER;
    of->record->ExceptionCode = EXCEPTION_SINGLE_STEP;
    of->record->ExceptionAddress = (void *)(uintptr_t)of->thread->INSTRUCTION_POINTER;
    of->record->NumberParameters = 0;
}

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const struct native *of = native_of(native.info);
    *fault = (struct segue_fault){
        .trap = of->trap,
        .instruction = of->thread->INSTRUCTION_POINTER,
        .code = (int32_t)of->record->ExceptionCode,
    };
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address_known = true;
    fault->address = of->address;
    if (of->kind == KIND_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = of->kind == KIND_WRITE ? SEGUE_WRITE : SEGUE_READ;
}

__attribute__((hot)) void frame_open(struct fault_frame *frame, struct native_frame native)
{
    frame->public.native[0] = native.info;
    frame->public.native[1] = native.context;
    frame_get_fault(native, &frame->public.fault);
    frame->mask = 0;
    frame->alternate_stack = (struct frame_stack){0, 0};
    frame->is_read = false;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    *exception = (struct frame_exception){.trap = native_of(context)->trap, .address = native_of(context)->address};
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    native_of(context)->trap = (uint8_t)exception->trap;
    native_of(context)->address = exception->address;
}

/* ---- what is kept of an exception ---- */

void kept_info_keep(struct kept_info *kept, const void *info)
{
    const struct native *of = native_of(info);
    *kept = (struct kept_info){.si_signo = of->number, .address = of->address};
    kept->words[0] = (int)of->record->ExceptionCode;
    kept->words[1] = of->kind;
}

/* The handlers behind the library's see it in the record. */
void kept_info_give(const struct kept_info *kept, void *info)
{
    struct native *to = native_of(info);
    to->number = kept->si_signo;
    to->kind = (uint8_t)kept->words[1];
    to->address = kept->address;
    to->record->ExceptionCode = (DWORD)kept->words[0];
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
