/* alternate_stack.h: platform/frame/stack.h's record of an alternate stack and the system's own.
 *
 * SOURCES: sigaltstack(2); Linux include/uapi/linux/signal.h. */
#ifndef SEGUE_PLATFORM_ALTERNATE_STACK_H
#define SEGUE_PLATFORM_ALTERNATE_STACK_H

#if !defined(__linux__)
#error "platform/linux/alternate_stack.h is specific to Linux"
#endif

#include <signal.h>

#include "platform/frame/stack.h"
#include "platform/linux/abi.h"

_Static_assert(STACK_IN_USE == SS_ONSTACK && STACK_DISABLED == SS_DISABLE && STACK_AUTODISARM == SS_AUTODISARM,
               "the flags have the system's numbers");

static inline struct alternate_stack stack_from_system(const stack_t *stack)
{
    return (struct alternate_stack){.lowest = stack->ss_sp, .flags = (unsigned)stack->ss_flags, .size = stack->ss_size};
}

static inline stack_t stack_to_system(const struct alternate_stack *stack)
{
    return (stack_t){.ss_sp = stack->lowest, .ss_flags = (int)stack->flags, .ss_size = stack->size};
}

#endif
