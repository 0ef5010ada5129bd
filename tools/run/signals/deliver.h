/* deliver.h: delivers signals to the program: builds frames on its own stacks, as the kernel does, and returns from
 * them. All are async-signal-safe. */
#ifndef SEGUE_RUN_DELIVER_H
#define SEGUE_RUN_DELIVER_H

#include <signal.h>

#include "actions.h"

/* Delivers the signal to the program: its handler will run when the thread resumes by `frame`; or the signal is
 * ignored; or the process ends. `is_fault`: the frame's instruction raised it. */
void deliver(struct thread *thread, ucontext_t *frame, const siginfo_t *info, bool is_fault);

/* Keeps a forced signal that was sent, until the program's mask allows it; one of each. */
void deliver_keep(struct thread *thread, const siginfo_t *info);

/* deliver_has_waiting: whether the program's mask allows a kept signal now. deliver_waiting: delivers those. */
bool deliver_has_waiting(const struct thread *thread);
void deliver_waiting(struct thread *thread, ucontext_t *frame);

/* Sends a signal to this thread again, blocked until the host's handler returns; and all kept signals that the mask
 * allows. */
void deliver_again(const siginfo_t *info);
void deliver_waiting_again(struct thread *thread);

/* rt_sigreturn(2): loads into the frame what the program's handler has left in its own. */
void deliver_return(struct thread *thread, ucontext_t *frame);

/* Resets vector, x87 and control state in the frame to what a handler begins with, and a program, which the first
 * thread is about to start. */
void deliver_clear_state(ucontext_t *frame);
void deliver_begin_state(ucontext_t *frame);

/* Ends the process as the kernel's default for the signal does. */
_Noreturn void deliver_die(const siginfo_t *info);

#endif
