/* stack.h: the alternate stack and its copy in a signal frame, in sigaltstack(2)'s form: for systems that have
 * signals. */
#ifndef SEGUE_PLATFORM_STACK_H
#define SEGUE_PLATFORM_STACK_H

#include <signal.h>
#include <stddef.h>

/* Sets the calling thread's alternate stack to `*wanted`, and reads the one before into `*before`, each if it is not
 * NULL. Returns 0, or a negative error number. Async-signal-safe; errno stays as it was. */
long platform_stack_exchange(const stack_t *wanted, stack_t *before);

/* The smallest alternate stack that the system accepts on this processor, in bytes; 0 if it does not say.
 * Async-signal-safe. */
size_t platform_stack_least(void);

/* The thread's alternate stack as it was set when the frame was made. Async-signal-safe. */
const stack_t *frame_stack_in_force(const void *context);

/* Sets the alternate stack that the handler's return restores. Async-signal-safe. */
void frame_set_alternate_stack(void *context, const stack_t *wanted);

#endif
