/* stop.h: a thread that has made an access stops behind it: for the debugger that has the program, or with all of it,
 * until somebody looks. */
#ifndef SEGUE_TOOLS_WATCH_STOP_H
#define SEGUE_TOOLS_WATCH_STOP_H

#include "tools/watch/agent/shared.h"

/* The access of that record was reported; its thread waits for an answer. */
void stop_thread(struct shared *shared, const struct segue_watch_record *record, const char *name);

/* The access is not reported: the thread goes on. */
void stop_not(struct shared *shared);

#endif
