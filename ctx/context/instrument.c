/* instrument.c: the sanitizers' and Valgrind's interfaces for programs that switch stacks.
 *
 * SOURCES: sanitizer/common_interface_defs.h (__sanitizer_start_switch_fiber, __sanitizer_finish_switch_fiber),
 * sanitizer/tsan_interface.h (fibers). Each start must meet its finish on the other stack. */
#include "instrument.h"

#include "valgrind_x86.h"

#define WEAK __attribute__((weak, visibility("default")))
WEAK void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
WEAK void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old, size_t *size_old);
WEAK void __asan_unpoison_memory_region(const volatile void *address, size_t size);
WEAK void *__tsan_get_current_fiber(void);
WEAK void *__tsan_create_fiber(unsigned flags);
WEAK void __tsan_destroy_fiber(void *fiber);
WEAK void __tsan_switch_to_fiber(void *fiber, unsigned flags);

bool instrument_is_valgrind(void)
{
    return valgrind_ask(VALGRIND_REQUEST_RUNNING, 0, 0) != 0;
}

bool instrument_wanted(void)
{
    return __sanitizer_start_switch_fiber || __tsan_switch_to_fiber;
}

void instrument_clean(void *stack, size_t size)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(stack, size);
}

void instrument_create(struct segue_context *context)
{
    if (__tsan_create_fiber)
        context->fiber = __tsan_create_fiber(0);
    context->valgrind_stack = (unsigned)valgrind_ask(VALGRIND_REQUEST_REGISTER_STACK, (uintptr_t)context->stack,
                                                     (uintptr_t)context->stack + context->stack_size);
    context->flags |= SEGUE_CONTEXT_REGISTERED_;
}

void instrument_destroy(struct segue_context *context)
{
    if (!(context->flags & SEGUE_CONTEXT_REGISTERED_))
        return;
    if (__tsan_destroy_fiber && context->fiber)
        __tsan_destroy_fiber(context->fiber);
    valgrind_ask(VALGRIND_REQUEST_DEREGISTER_STACK, context->valgrind_stack, 0);
}

void instrument_leave(struct segue_context *from, struct segue_context *to)
{
    to->previous = from;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, to->stack, to->stack_size);
    if (from && __tsan_get_current_fiber)
        from->fiber = __tsan_get_current_fiber();
}

void instrument_leave_by_return(struct segue_context *to)
{
    void *left = NULL;
    to->previous = NULL;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&left, to->stack, to->stack_size);
    to->private_[0] = (uint64_t)(uintptr_t)left;
}

/* private_[0] holds the fake stack of a flow that a handler has left for good: the handler's own variables were there
 * until it returned. The sanitizer frees a fake stack only when its flow is left: so this switches to that flow and
 * leaves it. */
static void free_left_fake_stack(struct segue_context *to)
{
    void *own, *left = (void *)(uintptr_t)to->private_[0];
    if (!left)
        return;
    to->private_[0] = 0;
    __sanitizer_start_switch_fiber(&own, to->stack, to->stack_size);
    __sanitizer_finish_switch_fiber(left, NULL, NULL);
    __sanitizer_start_switch_fiber(NULL, to->stack, to->stack_size);
    __sanitizer_finish_switch_fiber(own, NULL, NULL);
}

void instrument_arrive(struct segue_context *to)
{
    struct segue_context *from = to->previous;
    const void *bottom;
    size_t size;
    /* Only now: a handler that leaves for `to` still has to return, and its return belongs to the interrupted flow. */
    if (__tsan_switch_to_fiber)
        __tsan_switch_to_fiber(to->fiber, 0);
    if (!__sanitizer_finish_switch_fiber)
        return;
    __sanitizer_finish_switch_fiber(to->fake_stack, &bottom, &size);
    to->fake_stack = NULL;
    free_left_fake_stack(to);
    if (!from || (from->flags & SEGUE_CONTEXT_REGISTERED_))
        return;
    /* A thread's own stack: its address becomes known only now, and may differ from the last time. */
    from->stack = (void *)(uintptr_t)bottom;
    from->stack_size = size;
}
