/* unhandled.h: a fault that nobody handles. */
#ifndef SEGUE_SIGNALS_UNHANDLED_H
#define SEGUE_SIGNALS_UNHANDLED_H

#include <signal.h>

/* Tells a debugger of a fault that the process is about to die of. Takes some 400 bytes of stack. Async-signal-safe. */
void unhandled_tell(const siginfo_t *info, const void *ucontext);

#endif
