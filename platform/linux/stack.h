/* stack.h: the alternate stack in a signal frame, as sigaltstack(2) takes it. */
#ifndef SEGUE_PLATFORM_LINUX_STACK_H
#define SEGUE_PLATFORM_LINUX_STACK_H

#if !defined(__linux__)
#error "stack.h is specific to Linux"
#endif

#include <signal.h>

/* The thread's alternate stack as it was set when the frame was made. Async-signal-safe. */
const stack_t *frame_stack_in_force(const void *context);

/* What the return puts in force as the alternate stack. Async-signal-safe. */
void frame_set_alternate_stack(void *context, const stack_t *wanted);

#endif
