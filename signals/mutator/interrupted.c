/* interrupted.c: finds the application's context, at any instruction between the kernel's entry into the
 * library's handler and the last one of the return path. While a handler's record is linked, the thread's list of
 * records names the frame (ctx/handling.h). Before and after that, and wherever else a thread stands in code that no
 * application wrote, the registry of code ranges translates its registers (platform/code_range.h).
 *
 * Not found: the few instructions of C between a guest's interruption and the record, where the guest is shown as the
 * signal finds it; and a frame of the library's handler that has no record yet when the program's own handler
 * interrupts it and faults.
 *
 * ASSUMPTIONS: restorers are a MOV and a system call, as in glibc, musl and the vDSO; the library's are ranges. */
#include "interrupted.h"

#include <string.h>

#include "ctx/handling.h"
#include "patch/poke/poke.h"
#include "platform/abi.h"
#include "platform/frame/entry_layout.h"
#include "signals/fault/fault.h"
#include "signals/ranges.h"
#include "signals/threads/thread.h"

#define RESTORER_SIZE 9
/* The most frames, each interrupted in a handler's first or last instructions. */
#define FRAMES_MOST 4u

/* The handler's return address, with which the kernel's frame begins. */
static uint64_t restorer_of(const void *ucontext)
{
    return *(const uintptr_t *)(const void *)((const char *)ucontext - ENTRY_CONTEXT);
}

/* The record may belong to a handler that was abandoned long ago, on a stack that is unmapped: so it is read by a
 * guarded access. That may itself come inside a fault that needs what the last failed guarded access has left. */
static bool peek(void *to, const void *from, size_t size)
{
    struct kept_info recovered = thread_self.recovered;
    struct frame_exception exception = thread_self.recovered_exception;
    bool whole = segue_peek(to, (uint64_t)(uintptr_t)from, size) == size;
    thread_self.recovered = recovered;
    thread_self.recovered_exception = exception;
    return whole;
}

/* Stacks grow down. A record on the alternate stack is stale if the thread is on its own stack; the reverse does not
 * hold, since a handler on the thread's own stack may be interrupted by one on the alternate stack. */
static bool is_left(const struct handling *record, const struct frame_stack *alternate, uint64_t stack_pointer)
{
    uint64_t place = (uint64_t)(uintptr_t)record->self;
    if (frame_is_on(alternate, place) != frame_is_on(alternate, stack_pointer))
        return frame_is_on(alternate, place);
    return stack_pointer > place;
}

/* The outermost frame whose handler the thread is still in, given its stack pointer; NULL if none. */
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

/* From the handler's own stack pointer up to the frame that it serves. If they are on two stacks: the part on the
 * alternate stack. */
static void take_handler_stack(struct segue_mutator *context, const void *frame)
{
    uint64_t end = (uint64_t)(uintptr_t)frame, start = context->private_.regs.rsp - RED_ZONE;
    struct frame_stack alternate = frame_get_alternate_stack(frame);
    if (frame_is_on(&alternate, context->private_.regs.rsp) && !frame_is_on(&alternate, end))
        end = alternate.base + alternate.size;
    context->private_.stack = start & ~(uint64_t)7;
    context->private_.stack_end = end > start ? end & ~(uint64_t)7 : context->private_.stack;
}

/* The outermost of the handlers that the thread is in: those on the list, and outside this frame if there is one. */
static const void *outermost_of(const void *frame, uint64_t stack_pointer)
{
    const void *outermost = frame_by_records(frame ? frame_stack_pointer(frame) : stack_pointer);
    return outermost ? outermost : frame;
}

/* The frame of the outermost handler that the thread, with those registers, is in. If it is in no handler, but in the
 * library's code, the registers are translated to the application's, and the result is NULL. `*in_fault`: one of the
 * handlers is the library's. `restorer` is the interrupting handler's return address. */
static const void *find_frame(struct segue_regs *regs, uint64_t restorer, bool *in_fault)
{
    const void *frame = NULL;
    enum code_range_result result = code_range_translate(library_ranges, regs, &frame);
    if (result == CODE_RANGE_NOT_FOUND && regs->rip - restorer < RESTORER_SIZE)
        frame = (const void *)(uintptr_t)(regs->rsp + ENTRY_CONTEXT - sizeof(void *));
    const void *outermost = outermost_of(frame, regs->rsp);
    *in_fault = outermost != frame || result == CODE_RANGE_FRAME;
    return outermost;
}

/* The same if the frame's own instruction is in the library's handler, which was interrupted before it had a record.
 * NULL if it is not. */
static const void *find_frame_behind(struct segue_regs *regs, bool *in_fault)
{
    const void *frame = NULL;
    enum code_range_result result = code_range_translate(library_ranges, regs, &frame);
    *in_fault |= result == CODE_RANGE_FRAME;
    return frame ? outermost_of(frame, regs->rsp) : NULL;
}

const void *interrupted_read(const void *ucontext, struct segue_mutator *context)
{
    *context = (struct segue_mutator){.red_zone = RED_ZONE};
    fault_get_registers(ucontext, &context->regs);
    frame_get_any_xstate(ucontext, &context->xstate);
    struct segue_regs interrupted = context->regs;
    const void *frame = find_frame(&context->regs, restorer_of(ucontext), &context->in_fault), *outermost = NULL;
    if (!frame) {
        /* Registers that were translated are not those in the frame. */
        if (memcmp(&context->regs, &interrupted, sizeof interrupted) == 0)
            context->private_.native = (uint64_t)(uintptr_t)ucontext;
        return NULL;
    }
    context->private_.regs = interrupted;
    context->private_.xstate = context->xstate;
    for (unsigned i = 0; frame && i < FRAMES_MOST; i++) {
        outermost = frame;
        fault_get_registers(outermost, &context->regs);
        context->regs.rip = poke_site_of(context->regs.rip);
        frame = find_frame_behind(&context->regs, &context->in_fault);
    }
    frame_get_any_xstate(outermost, &context->xstate);
    take_handler_stack(context, outermost);
    return outermost;
}
