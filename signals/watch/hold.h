/* hold.h: suspends all other threads of the process. */
#ifndef SEGUE_SIGNALS_WATCH_HOLD_H
#define SEGUE_SIGNALS_WATCH_HOLD_H

#include <segue/suspend.h>

struct held {
    struct segue_suspension *threads;
    unsigned count;
};

/* Suspends all other threads, those too that begin meanwhile. Until hold_end, the caller uses async-signal-safe
 * functions only. Returns SEGUE_OK; SEGUE_NOT_FOUND without segue_suspend_install, unless there is no other thread;
 * SEGUE_TIMEOUT; SEGUE_NO_MEMORY; SEGUE_UNSUPPORTED if the system does not list threads; with a reason, and no thread
 * is suspended. Not async-signal-safe. */
enum segue_status hold_all(struct held *held);
void hold_end(struct held *held);

#endif
