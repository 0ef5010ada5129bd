/* ranges.h: all code ranges of the library's text, for fault-PC translation. */
#ifndef SEGUE_SIGNALS_RANGES_H
#define SEGUE_SIGNALS_RANGES_H

#include "platform/code_range.h"

/* For a frame whose thread was interrupted on the library's return path with nothing left to do there: makes it the
 * frame of the application's instruction. The thread then resumes at that instruction. Async-signal-safe. */
void ranges_leave(void *context);

/* For code_range_translate. The owner of code made at run time (replay's stubs) adds that code's range itself. */
extern const struct code_range *const library_ranges[];

#endif
