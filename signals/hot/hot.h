/* hot.h: hot sites, as the handler sees them: it makes a site hot instead of serving its fault, and takes faults that
 * come from bodies for those of the application's instructions (inside.h). */
#ifndef SEGUE_SIGNALS_HOT_H
#define SEGUE_SIGNALS_HOT_H

#include "inside.h"
#include "leave.h"
#include "signals/regions/region.h"

/* The most of the handler's stack that making sites hot needs (tests/signals/hot/hot_left.c measures it). With less, a
 * site goes on faulting. */
#define HOT_STACK 8192u

/* The instruction at `site` has faulted in the hot region; `room` is what is left of the handler's stack. Makes the
 * site hot, if it can be and no other thread changes code at the moment. True if it is hot now: the thread runs the
 * instruction again, and nothing has been done for it. Precondition: readers_enter. Async-signal-safe. */
bool hot_consider(const struct region *region, uint64_t site, struct hot_origin origin, size_t room);

#endif
