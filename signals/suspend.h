/* suspend.h: what the rest of the library has to know of suspended threads. */
#ifndef SEGUE_SIGNALS_SUSPEND_H
#define SEGUE_SIGNALS_SUSPEND_H

#include <signal.h>

/* The handler of the signal that suspends. In assembly: it sets the host's segment bases if a guest was interrupted,
 * and then calls suspend_serve. */
void suspend_entry(int number, siginfo_t *info, void *ucontext);
void suspend_serve(int number, siginfo_t *info, void *ucontext);

/* The calling thread is being asked for: a suspension waited for the end of its step. Async-signal-safe. */
void suspend_now(void);

/* That signal, 0 while there is none: other handlers of the library leave it open. */
int suspend_signal(void);

#endif
