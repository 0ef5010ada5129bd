/* nested.c: which of the library's handlers a thread is in, where a function of platform/ is what the system calls
 * (nested.h). */
#if defined(_WIN32)
#error "platform/posix/called/nested.c is specific to POSIX"
#endif

#include "nested.h"

#include "platform/frame/frame.h"
#include "platform/memory/memory.h"

/* The most nested handlers. */
#define NESTED_MOST 64u

__thread struct native_thread native_thread;

void native_enter(struct native_context *context)
{
    context->outer = native_thread.innermost;
    native_thread.stack = context->stack;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = context;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void native_leave(const struct native_context *context)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.innermost = context->outer;
}

bool native_is_on(const struct alternate_stack *stack, uint64_t stack_pointer)
{
    struct frame_stack bounds = {(uint64_t)(uintptr_t)stack->lowest, stack->size};
    return !(stack->flags & STACK_DISABLED) && frame_is_on(&bounds, stack_pointer);
}

/* What is read of a handler that was left may be anything, and its stack may be unmapped. */
static bool read_handler(const struct native_context *at, struct native_context *to)
{
    return platform_look_at((uint64_t)(uintptr_t)at, to, offsetof(struct native_context, state)) == PLATFORM_THERE &&
           to->self == at;
}

/* Stacks grow down; and a thread that is on its own stack has left the handlers on the other. */
static bool is_left(const struct native_context *handler, uint64_t stack_pointer)
{
    uint64_t place = (uint64_t)(uintptr_t)handler->self;
    bool was_on = native_is_on(&handler->stack, place);
    return was_on != native_is_on(&handler->stack, stack_pointer) ? was_on : stack_pointer > place;
}

void *native_outermost(const struct native_thread *thread, uint64_t stack_pointer)
{
    struct native_context *at = thread->innermost, *outermost = NULL, copy;
    for (unsigned i = 0; at && i < NESTED_MOST && read_handler(at, &copy); i++) {
        if (!is_left(&copy, stack_pointer)) {
            outermost = at;
            stack_pointer = frame_stack_pointer(&copy);
        }
        at = copy.outer;
    }
    return outermost;
}
