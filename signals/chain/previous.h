/* previous.h: the actions that stand behind ours: what the program has set, or believes to have set, for each signal.
 * Any thread may change one while others read it in a handler; nobody waits for a thread that does not run. */
#ifndef SEGUE_SIGNALS_PREVIOUS_H
#define SEGUE_SIGNALS_PREVIOUS_H

#include "platform/action.h"

/* All are async-signal-safe. */
void previous_read(int number, struct platform_action *action);

/* Sets the action to `*wanted` if that is not NULL, and tells the one before in `*before` if that is not NULL. */
void previous_exchange(int number, const struct platform_action *wanted, struct platform_action *before);

/* Reads the action in order to carry it out: a handler that wants one signal (SA_RESETHAND) is gone with that, and the
 * default in its place, with the same flags. */
void previous_take(int number, struct platform_action *action);

#endif
