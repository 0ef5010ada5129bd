/* change.h: system calls that change what is mapped where a region is: made by a function of the library's own watches.
 * All but change_follow is async-signal-safe. */
#ifndef SEGUE_SIGNALS_CHANGE_H
#define SEGUE_SIGNALS_CHANGE_H

#include "platform/calls/calls.h"

/* For the watches, before the first region of theirs is added: such calls are made by `make` (calls_run), except where
 * `is_own` says that the calling thread is the one that changes the regions' pages: it must not wait for itself.
 * `follows`: a call that maps a file which is made so, too, also without a region. Both: general registers only. */
struct memory_changer {
    bool (*is_own)(void);
    bool (*follows)(const struct system_call *call);
    /* One that had no stack to be made so. */
    void (*misses)(const struct system_call *call);
    calls_function *make;
};
void change_follow(const struct memory_changer *changer);

/* Whether that function makes the call. */
bool change_is_wanted(const struct system_call *call);

/* Arranges that it does so, on the thread's own stack; without room there a call that changes a region fails, and one
 * that only maps a file is made. */
void change_run(const struct system_call *call);

/* The same with another function. False if there is no room. */
bool change_runs(const struct system_call *call, calls_function *function);

#endif
