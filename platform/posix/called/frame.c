/* frame.c: what is alike in the frames of systems on which a function of platform/ is what the system calls: it has
 * found out before which the alternate stack is, and whether the signal was sent. */
#if defined(_WIN32)
#error "platform/posix/called/frame.c is specific to POSIX"
#endif

#include "platform/frame/frame.h"

#include "decode/x86/flags.h"
#include "nested.h"
#include "platform/frame/open.h"

static const struct native_context *context_of(const void *context)
{
    return context;
}

__attribute__((hot)) void frame_open(struct fault_frame *frame, struct native_frame native)
{
    open_frame(frame, native);
}

/* ---- whose the signal is ---- */

__attribute__((hot)) struct frame_signal frame_signal(const void *info)
{
    const struct native_info *of = info;
    return (struct frame_signal){of->number, of->code, of->address};
}

__attribute__((hot)) bool frame_is_fault_for_sure(const void *context)
{
    return frame_flags(context) & FLAG_RESUME;
}

bool frame_is_sent(const void *info)
{
    return ((const struct native_info *)info)->is_sent;
}

void frame_set_kernel_signal(struct native_frame native, int number)
{
    *(struct native_info *)native.info = (struct native_info){.number = number};
}

/* ---- alternate stacks ---- */

__attribute__((hot)) struct alternate_stack frame_stack_in_force(const void *context)
{
    return context_of(context)->stack;
}

__attribute__((hot)) struct frame_stack frame_get_alternate_stack(const void *context)
{
    const struct alternate_stack *stack = &context_of(context)->stack;
    if (stack->flags & STACK_DISABLED)
        return (struct frame_stack){0, 0};
    return (struct frame_stack){(uint64_t)(uintptr_t)stack->lowest, stack->size};
}

bool frame_peek_alternate_stack(const void *context, bool (*peek)(void *to, const void *from, size_t size),
                                struct frame_stack *stack)
{
    struct alternate_stack copy;
    if (!peek(&copy, &context_of(context)->stack, sizeof copy))
        return false;
    *stack = (struct frame_stack){0, 0};
    if (!(copy.flags & STACK_DISABLED))
        *stack = (struct frame_stack){(uint64_t)(uintptr_t)copy.lowest, copy.size};
    return true;
}

bool frame_was_on_alternate_stack(const void *context)
{
    return context_of(context)->was_on_stack;
}

bool frame_is_on_alternate_stack(const void *context)
{
    struct frame_stack stack = frame_get_alternate_stack(context);
    return frame_is_on(&stack, (uint64_t)(uintptr_t)context);
}

__attribute__((hot)) size_t frame_room(const void *context, const void *stack_pointer)
{
    struct frame_stack stack = frame_get_alternate_stack(context);
    uint64_t at = (uint64_t)(uintptr_t)stack_pointer;
    return stack.size && at - stack.base <= stack.size ? (size_t)(at - stack.base) : SIZE_MAX;
}
