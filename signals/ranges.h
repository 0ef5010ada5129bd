/* ranges.h: all of the library's text in which a thread stands for another place. */
#ifndef SEGUE_SIGNALS_RANGES_H
#define SEGUE_SIGNALS_RANGES_H

#include "platform/code_range.h"

/* Makes a frame whose thread was interrupted on the way out of a handler, with nothing left to do there, that of the
 * application's instruction: the thread goes on with that one when the frame is returned from. Async-signal-safe. */
void ranges_leave(void *context);

/* For code_range_translate. What is made at run time (replay's stubs) is added by those who make it. */
extern const struct code_range *const library_ranges[];

#endif
