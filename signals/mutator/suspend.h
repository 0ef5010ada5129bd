/* suspend.h: what the rest of the library has to know of suspended threads. */
#ifndef SEGUE_SIGNALS_SUSPEND_H
#define SEGUE_SIGNALS_SUSPEND_H

#include "platform/action.h"

/* The handler of the signal that suspends. In assembly: it sets the host's segment bases if a guest was interrupted,
 * and then calls suspend_serve. */
void suspend_entry(int number, void *info, void *ucontext);
void suspend_serve(int number, void *info, void *ucontext);

/* The calling thread is being asked for: a suspension waited for the end of its step. Async-signal-safe. */
void suspend_now(void);

/* That signal, 0 while there is none: other handlers of the library leave it open. */
int suspend_signal(void);

/* ---- for who installs it ---- */

void suspend_set_signal(int number);

/* Whether ours is the handler that the kernel calls; its action is in `present` in any case. Async-signal-safe. */
bool suspend_is_first(struct platform_action *present);

/* Nobody suspends from here to suspend_end_change; false if somebody does now. */
bool suspend_begin_change(void);
void suspend_end_change(void);

/* In a child made by fork: those who were suspended are not there. */
void suspend_in_child(void);

#endif
