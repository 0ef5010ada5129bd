/* nested.h: the handlers that a thread is in, for other threads that stop it. struct native_context is the system's; it
 * begins with where it is and with the outer handler's, and has the alternate stack and the gathered state. */
#ifndef SEGUE_PLATFORM_POSIX_NESTED_H
#define SEGUE_PLATFORM_POSIX_NESTED_H

#if defined(_WIN32)
#error "platform/posix/called/nested.h is specific to POSIX"
#endif

#include "native.h"

/* What other threads read of a thread (platform/SYSTEM/threads/stop.c). */
struct native_thread {
    struct native_context *innermost;
    /* Its alternate stack. */
    struct alternate_stack stack;
};
extern __thread struct native_thread native_thread;

/* From the handler's first act to its last: the thread is in it. */
void native_enter(struct native_context *context);
void native_leave(const struct native_context *context);

/* The outermost handler that a stopped thread with that stack pointer is in, as a frame's second word; NULL if it is in
 * none. */
void *native_outermost(const struct native_thread *thread, uint64_t stack_pointer);

/* As frame_is_on. */
bool native_is_on(const struct alternate_stack *stack, uint64_t stack_pointer);

#endif
