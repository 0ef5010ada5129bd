/* exit.h: what a thread does when it ends. */
#ifndef SEGUE_PLATFORM_EXIT_H
#define SEGUE_PLATFORM_EXIT_H

#include <stdbool.h>

/* Prepares thread_exit_wants, once: `run` is called at the end of each thread that wants it. False if the system has no
 * more keys. Not async-signal-safe; thread-safe. */
bool thread_exit_prepare(void (*run)(void));

/* Whether the calling thread wants it. If the system has no memory for that, it is not called. Not
 * async-signal-safe. */
void thread_exit_wants(bool wanted);

#endif
