/* masks.h: threads that block the signals by which pages are watched. While their process is watched they do not. */
#ifndef SEGUE_TOOLS_WATCH_MASKS_H
#define SEGUE_TOOLS_WATCH_MASKS_H

#include <stdbool.h>

#include "tools/watch/agent/shared.h"
#include "tools/watch/names/code.h"

/* Before the library's handlers are there. False, with a message, if a thread waits with another mask than its own,
 * which cannot be opened. */
bool masks_look(const struct code *code, const struct shared *shared, const char *name);

/* Opens the masks of all threads, by ptrace, and writes down in shared->masks what they blocked. Returns a thread whose
 * mask cannot be opened now; 0 if all are open. */
pid_t masks_open(const struct code *code, struct shared *shared);

/* The same, for so long as threads may need to come to a place where it can be done. False, with a message. */
bool masks_open_all(const struct code *code, struct shared *shared, const char *name);

#endif
