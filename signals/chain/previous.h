/* previous.h: the chained actions: for each signal, the action that the program has set, or believes it has set. Any
 * thread may change one while others read it in a handler. Lock-free: a thread that is not running delays no other. */
#ifndef SEGUE_SIGNALS_PREVIOUS_H
#define SEGUE_SIGNALS_PREVIOUS_H

#include "platform/handlers/action.h"

/* All are async-signal-safe. */
void previous_read(int number, struct platform_action *action);

/* Sets the action to `*wanted` if that is not NULL; stores the action before in `*before` if that is not NULL. */
void previous_exchange(int number, const struct platform_action *wanted, struct platform_action *before);

/* Reads the action in order to carry it out: a one-shot handler (SA_RESETHAND) is replaced by the default action,
 * with the same flags. */
void previous_take(int number, struct platform_action *action);

/* SA_RESTART, if the library's handler needs it so that a signal sent by a program interrupts system calls as it
 * would without the library; an ignored signal never interrupts one. */
uint64_t previous_restarts(int number, const struct platform_action *action);

/* From now on these signals restart system calls, whatever the program's action says: the library sends them. */
void previous_always_restart(uint64_t set);

/* Updates those flags of the library's handler that depend on the action before it. */
void previous_follow(int number, const struct platform_action *action);

#endif
