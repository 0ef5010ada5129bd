/* stack.h: alternate stacks, on which a system calls handlers, and their copy in a signal frame. On a system without
 * them every thread's is STACK_DISABLED, and setting one is refused. */
#ifndef SEGUE_PLATFORM_STACK_H
#define SEGUE_PLATFORM_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sigaltstack(2)'s stack_t. The size may be 0 or stale if it is disabled. */
struct alternate_stack {
    void *lowest;
    /* STACK_ bits; further ones are the system's own, and stay as they are. */
    unsigned flags;
    size_t size;
};

/* The thread is on it now. A thread that sets a stack may pass it; it has no effect. */
#define STACK_IN_USE 1u
/* The thread has no alternate stack. */
#define STACK_DISABLED 2u
/* It is disabled from a handler's first instruction to the handler's return. */
#define STACK_AUTODISARM 0x80000000u

/* Sets the calling thread's alternate stack to `*wanted`, and reads the one before into `*before`, each if it is not
 * NULL. Returns 0, or a negative error number: `*before` is unchanged then. A system may refuse even to say which stack
 * is in use. Async-signal-safe; errno stays as it was. */
long platform_stack_exchange(const struct alternate_stack *wanted, struct alternate_stack *before);

/* The smallest alternate stack that the system accepts on this processor, in bytes; 0 if it does not say.
 * Async-signal-safe. */
size_t platform_stack_least(void);

/* The thread's alternate stack as it was set when the frame was made. Async-signal-safe. */
struct alternate_stack frame_stack_in_force(const void *context);

/* No alternate stack is larger. */
#define STACK_LARGEST ((size_t)1 << 30)

/* Whether words may be a frame's copy of an alternate stack that holds the address: then the thread is on it. */
static inline bool stack_may_hold(const struct alternate_stack *copied, uint64_t address)
{
    const unsigned known = STACK_IN_USE | STACK_DISABLED | STACK_AUTODISARM;
    return copied->size <= STACK_LARGEST && address - (uint64_t)(uintptr_t)copied->lowest < copied->size &&
           !(copied->flags & ~known);
}

/* Sets the alternate stack that the handler's return restores. Async-signal-safe. */
void frame_set_alternate_stack(void *context, const struct alternate_stack *wanted);

#endif
