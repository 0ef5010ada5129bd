/* agent.h: what the two ways share in which libsegue-watch.so comes into a program. */
#ifndef SEGUE_TOOLS_WATCH_AGENT_H
#define SEGUE_TOOLS_WATCH_AGENT_H

#include <segue/watch.h>

#include "shared.h"

void say(struct shared *shared, enum shared_state state);

/* In a program that ran already: the command opens the masks of its threads, once the library's handlers are there.
 * False if it does not, or has ended. */
bool wait_for_masks(struct shared *shared);

/* Whether the program's side's own thread can be: when the program changes its mappings, it suspends all others. While
 * segue_suspend_install is in force. */
void can_be_suspended(bool can);

/* Each thread whose mask was opened blocks again what it blocked. The library's handlers are there; calls are caught
 * no longer. Returns how many do not: their masks have changed meanwhile, or they did not answer. */
unsigned close_masks(const struct shared *shared);

/* Installs the library, and watches the ranges. `shared->reason` says why not. */
enum segue_status watch(struct shared *shared);

#endif
