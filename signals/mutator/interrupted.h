/* interrupted.h: whose registers a signal has really interrupted: those of the frame, or of the program behind a
 * handler of ours that the signal came in the middle of. */
#ifndef SEGUE_SIGNALS_INTERRUPTED_H
#define SEGUE_SIGNALS_INTERRUPTED_H

#include <segue/mutator.h>

/* The application's context. `ucontext` is the handler's own, and the thread the calling one. Async-signal-safe. */
void interrupted_read(const void *ucontext, struct segue_mutator *context);

#endif
