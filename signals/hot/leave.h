/* leave.h: takes a thread out of a body, for whoever interrupts threads. */
#ifndef SEGUE_SIGNALS_HOT_LEAVE_H
#define SEGUE_SIGNALS_HOT_LEAVE_H

#include "platform/code_range.h"

/* The bodies, and the thunk that calls policies. */
extern const struct code_range hot_range;

/* If the interrupted thread is in a body or a thunk: its frame is now that of the application's instruction, where it
 * resumes. False if it is not. Async-signal-safe. */
bool hot_leave(void *context);

#endif
