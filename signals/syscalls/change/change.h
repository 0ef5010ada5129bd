/* change.h: system calls that change what is mapped where a region is: made by the function of syscalls_follow_changes.
 * Async-signal-safe. */
#ifndef SEGUE_SIGNALS_CHANGE_H
#define SEGUE_SIGNALS_CHANGE_H

#include "platform/calls/calls.h"

/* Whether that function makes the call. There is a region. */
bool change_is_wanted(const struct system_call *call);

/* Arranges that it does so, on the thread's own stack; without room there the call fails. */
void change_run(const struct system_call *call);

#endif
