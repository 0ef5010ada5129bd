/* agent.h: what the two ways share in which libsegue-watch.so comes into a program. */
#ifndef SEGUE_TOOLS_WATCH_AGENT_H
#define SEGUE_TOOLS_WATCH_AGENT_H

#include <segue/watch.h>

#include "shared.h"

void say(struct shared *shared, enum shared_state state);

/* Installs the library, and watches the ranges. `shared->reason` says why not. */
enum segue_status watch(struct shared *shared);

#endif
