/* chain.h: the handlers that were there before ours. */
#ifndef SEGUE_SIGNALS_CHAIN_H
#define SEGUE_SIGNALS_CHAIN_H

#include <signal.h>

/* Remembers what handled the signal before. */
void chain_remember(int number, const struct sigaction *previous);
const struct sigaction *chain_previous(int number);

/* Hands the signal on: the previous handler sees it as if ours were not there; without one the thread does what the
 * kernel would have made it do. `is_fault`: the kernel raised it for the instruction at hand. May not return, if the
 * previous handler does not. Async-signal-safe. */
void chain_signal(int number, siginfo_t *info, void *ucontext, int is_fault);

/* Whether a fault that is handed on kills the process, since nobody was there before to handle it. Async-signal-safe.
 */
int chain_is_deadly(int number);

/* Lets the fault at hand kill the process with its own signal as soon as the handler returns. Async-signal-safe. */
void chain_die(int number);

#endif
