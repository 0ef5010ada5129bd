/* suspend.h: what the rest of the library needs to know of suspended threads. */
#ifndef SEGUE_SIGNALS_SUSPEND_H
#define SEGUE_SIGNALS_SUSPEND_H

#include <segue/suspend.h>

#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

/* The handler of the suspend signal. In assembly: it sets the host's segment bases if it has interrupted a guest, and
 * then calls suspend_serve. */
void suspend_entry(int number, void *info, void *ucontext);
void suspend_serve(int number, void *info, void *ucontext);

/* Asks the calling thread again: a suspension waited for the end of its step. Async-signal-safe. */
void suspend_now(void);

/* As segue_threads_suspend, also threads that block the signal: by a knock (signals/threads/knock.h). On Linux on
 * x86-64 alone. Not async-signal-safe. */
enum segue_status suspend_blocking_too(struct segue_suspension *list, size_t count, uint64_t timeout);

/* The answer to a knock, of a thread that blocks the signal. Async-signal-safe. */
void suspend_answer(struct native_frame native);

/* The suspend signal, 0 if it is not installed: the library's other handlers leave it unblocked. */
int suspend_signal(void);

/* Makes a suspended thread continue with the registers that its frame has now; true also for a frame that is no
 * suspended thread's. False if the system refuses. Async-signal-safe. */
bool suspend_store(const void *native);

/* ---- for the installer ---- */

void suspend_set_signal(int number);

/* Whether the kernel calls the library's handler; `present` gets the action in force in any case. Async-signal-safe. */
bool suspend_is_first(struct platform_action *present);

/* Takes the suspension lock, so that no thread suspends until suspend_end_change; false if another thread has it. */
bool suspend_begin_change(void);
void suspend_end_change(void);

/* In a child made by fork: it has none of the suspended threads. */
void suspend_in_child(void);

#endif
