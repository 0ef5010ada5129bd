/* matches.h: which blocks of the heap are watched: by their size, or by who allocates them. */
#ifndef SEGUE_TOOLS_WATCH_MATCHES_H
#define SEGUE_TOOLS_WATCH_MATCHES_H

#include "tools/watch/agent/shared.h"

/* From now on the blocks are watched that targets of the heap ask for. Their ranges have their numbers. False if that
 * is not possible: `shared->reason` says why. */
bool matches_begin(struct shared *shared);

#endif
