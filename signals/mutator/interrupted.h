/* interrupted.h: fault-PC translation for suspension: finds the application's registers, which are those of the
 * signal's frame, or of the program that one of the library's handlers had interrupted when the signal came. */
#ifndef SEGUE_SIGNALS_INTERRUPTED_H
#define SEGUE_SIGNALS_INTERRUPTED_H

#include <segue/mutator.h>

/* Reads the application's context. `ucontext` is the handler's own; for the calling thread. Returns the frame of the
 * outermost of the library's handlers that the thread is in; NULL if it is in none. Async-signal-safe. */
const void *interrupted_read(const void *ucontext, struct segue_mutator *context);

#endif
