/* deliver.h: signals reach the program: frames on its own stacks, as the kernel makes them, and the way back. All are
 * async-signal-safe. */
#ifndef SEGUE_RUN_DELIVER_H
#define SEGUE_RUN_DELIVER_H

#include <signal.h>

#include "actions.h"

/* Lets the program have the signal: its handler will run when the thread goes on by `frame`; or it is ignored; or the
 * process ends. `is_fault`: raised by the instruction that the frame stands at. */
void deliver(struct thread *thread, ucontext_t *frame, const siginfo_t *info, bool is_fault);

/* Keeps one of the forced signals that was sent, until it may come; one of each. */
void deliver_keep(struct thread *thread, const siginfo_t *info);

/* Whether some of those that were kept may come now; and lets them come. */
bool deliver_has_waiting(const struct thread *thread);
void deliver_waiting(struct thread *thread, ucontext_t *frame);

/* Sends a signal to this thread again, blocked until the host's handler returns; and all that may come now. */
void deliver_again(const siginfo_t *info);
void deliver_waiting_again(struct thread *thread);

/* rt_sigreturn(2): the frame becomes what the program's handler has left of its own. */
void deliver_return(struct thread *thread, ucontext_t *frame);

/* Vector, x87 and control state in the frame become what a handler begins with; and a program, which the first thread
 * is about to start. */
void deliver_clear_state(ucontext_t *frame);
void deliver_begin_state(ucontext_t *frame);

/* Ends the process as the kernel's default for the signal does. */
_Noreturn void deliver_die(const siginfo_t *info);

#endif
