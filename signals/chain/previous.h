/* previous.h: the actions that stand behind ours: what the program has set, or believes to have set, for each signal.
 * Any thread may change one while others read it in a handler; nobody waits for a thread that does not run. */
#ifndef SEGUE_SIGNALS_PREVIOUS_H
#define SEGUE_SIGNALS_PREVIOUS_H

#include <signal.h>
#include <stdbool.h>

/* All are async-signal-safe. Of sa_mask the kernel's 64 signals count. */
void previous_read(int number, struct sigaction *action);

/* Sets the action to `*wanted` if that is not NULL, and tells the one before in `*before` if that is not NULL. */
void previous_exchange(int number, const struct sigaction *wanted, struct sigaction *before);

/* Reads the action in order to carry it out: a handler that wants one signal (SA_RESETHAND) is gone with that, and the
 * default in its place, with the same flags. */
void previous_take(int number, struct sigaction *action);

/* Whether the action is a handler's: SA_SIGINFO does not make one of SIG_DFL. */
static inline bool previous_is_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

#endif
