/* unwind.h: has unwinders and debuggers get past bodies to the functions that they are made from (rules.h). */
#ifndef SEGUE_SIGNALS_HOT_UNWIND_H
#define SEGUE_SIGNALS_HOT_UNWIND_H

#include <stdint.h>

/* After hot_prepare. A body's cookie will be the address of something of which its table is at `table_at`. Called
 * again, it takes in the unwinders that were loaded since. Not async-signal-safe; thread-safe. */
void unwind_begin(uint64_t table_at);

/* Takes in the chunks that were made since: before a body in them is executed. One at a time, by the thread that makes
 * sites hot. Async-signal-safe. */
void unwind_update(void);

#endif
