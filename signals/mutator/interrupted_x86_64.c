/* interrupted_x86_64.c: finds the application's context, at any instruction between the kernel's entry into the
 * library's handler and the last one of the way out. Where the registers alone tell, before there is a record of the
 * handler and after it, and wherever else a thread stands in code that no application wrote, the registry does
 * (platform/code_range.h); in between the thread's list of records does (ctx/handling.h).
 *
 * Not found: the few instructions of C between a guest's interruption and the record, where the guest is shown as the
 * signal finds it; and a frame of the library's handler that has no record yet when the program's own handler interrupts
 * it and faults.
 *
 * ASSUMPTIONS: restorers are `mov $15, %rax; syscall`, as in glibc and musl; the ones of the library are ranges. */
#if !defined(__x86_64__)
#error "interrupted_x86_64.c is specific to x86-64"
#endif

#include "interrupted.h"

#include <string.h>

#include "decode/x86/abi_sysv.h"
#include "ctx/handling.h"
#include "signals/fault/fault.h"
#include "signals/ranges.h"
#include "signals/threads/thread.h"

#define RESTORER_SIZE 9
/* Frames, each interrupted in a handler's first or last instructions. */
#define FRAMES_MOST 4u

/* Where the kernel has put the address that a handler returns to, right below the ucontext. */
static uint64_t restorer_of(const void *ucontext)
{
    return ((const uint64_t *)ucontext)[-1];
}

/* The record may be of a handler that was left long ago, on a stack that is gone: looked at through a guarded access,
 * which in turn may come in the middle of a fault that needs what the last one left. */
static bool peek(void *to, const void *from, size_t size)
{
    struct kept_info recovered = thread_self.recovered;
    struct frame_exception exception = thread_self.recovered_exception;
    bool whole = segue_peek(to, (uint64_t)(uintptr_t)from, size) == size;
    thread_self.recovered = recovered;
    thread_self.recovered_exception = exception;
    return whole;
}

/* Stacks grow down. A record on the alternate stack is left when the thread is on its own; a thread on the alternate
 * stack may have come there from a handler on its own. */
static bool is_left(const struct handling *record, const struct frame_stack *alternate, uint64_t stack_pointer)
{
    uint64_t place = (uint64_t)(uintptr_t)record->self;
    if (frame_is_on(alternate, place) != frame_is_on(alternate, stack_pointer))
        return frame_is_on(alternate, place);
    return stack_pointer > place;
}

/* The outermost frame that the thread, with its stack pointer there, is still in a handler of; NULL for none. */
static const void *frame_by_records(uint64_t stack_pointer)
{
    const void *outermost = NULL;
    const struct handling *at = handling_innermost;
    for (unsigned i = 0; at && i < HANDLING_DEPTH; i++) {
        struct handling record;
        struct frame_stack alternate;
        if (!peek(&record, at, sizeof record) || record.self != at ||
            !frame_peek_alternate_stack(record.ucontext, peek, &alternate))
            break;
        if (!is_left(&record, &alternate, stack_pointer)) {
            outermost = record.ucontext;
            stack_pointer = frame_stack_pointer(outermost);
        }
        at = record.outer;
    }
    return outermost;
}

/* From the handler's own stack pointer up to the frame that it serves. On two stacks: what is on the alternate one. */
static void take_handler_stack(struct segue_mutator *context, const void *frame)
{
    uint64_t end = (uint64_t)(uintptr_t)frame, start = context->private_.regs.rsp - RED_ZONE;
    struct frame_stack alternate = frame_get_alternate_stack(frame);
    if (frame_is_on(&alternate, context->private_.regs.rsp) && !frame_is_on(&alternate, end))
        end = alternate.base + alternate.size;
    context->private_.stack = start & ~(uint64_t)7;
    context->private_.stack_end = end > start ? end & ~(uint64_t)7 : context->private_.stack;
}

/* The outermost of the handlers that the thread is in: those on the list, behind this frame if there is one. */
static const void *outermost_of(const void *frame, uint64_t stack_pointer)
{
    const void *outermost = frame_by_records(frame ? frame_stack_pointer(frame) : stack_pointer);
    return outermost ? outermost : frame;
}

/* The frame of the outermost handler that the thread is in, with those registers, which are made the application's where
 * the thread is in none, but in code of the library's: then NULL. `*in_fault`: one of the handlers is the library's.
 * `restorer` is where the interrupting handler returns to. */
static const void *find_frame(struct segue_regs *regs, uint64_t restorer, bool *in_fault)
{
    const void *frame = NULL;
    enum code_range_result result = code_range_translate(library_ranges, regs, &frame);
    if (result == CODE_RANGE_NOT_FOUND && regs->rip - restorer < RESTORER_SIZE)
        frame = (const void *)(uintptr_t)regs->rsp;
    const void *outermost = outermost_of(frame, regs->rsp);
    *in_fault = outermost != frame || result == CODE_RANGE_FRAME;
    return outermost;
}

/* The same where the frame's own instruction is of the library's, which was interrupted there before it had a record.
 * NULL where it is not. */
static const void *find_frame_behind(struct segue_regs *regs, bool *in_fault)
{
    const void *frame = NULL;
    enum code_range_result result = code_range_translate(library_ranges, regs, &frame);
    *in_fault |= result == CODE_RANGE_FRAME;
    return frame ? outermost_of(frame, regs->rsp) : NULL;
}

void interrupted_read(const void *ucontext, struct segue_mutator *context)
{
    *context = (struct segue_mutator){.red_zone = RED_ZONE};
    fault_get_registers(ucontext, &context->regs);
    frame_get_any_xstate(ucontext, &context->xstate);
    struct segue_regs interrupted = context->regs;
    const void *frame = find_frame(&context->regs, restorer_of(ucontext), &context->in_fault), *outermost = NULL;
    if (!frame)
        return;
    context->private_.regs = interrupted;
    context->private_.xstate = context->xstate;
    for (unsigned i = 0; frame && i < FRAMES_MOST; i++) {
        outermost = frame;
        fault_get_registers(outermost, &context->regs);
        frame = find_frame_behind(&context->regs, &context->in_fault);
    }
    frame_get_any_xstate(outermost, &context->xstate);
    take_handler_stack(context, outermost);
}
