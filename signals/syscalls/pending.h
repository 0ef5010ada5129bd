/* pending.h: what a system call that is made with other arguments needs until it is finished. Async-signal-safe. */
#ifndef SEGUE_SIGNALS_PENDING_H
#define SEGUE_SIGNALS_PENDING_H

#include "follow.h"
#include "platform/calls/calls.h"

/* Behind it: its accesses, and the copies that they point to. */
struct pending {
    size_t size, count;
    struct call_access *accesses;
    /* Bounce buffers: all in one mapping. */
    void *bounces;
    size_t bounces_size;
    struct followed *followed;
};

/* Returns its memory. */
void pending_give(struct pending *pending);

/* For a thread that was suspended: a call that it is about to make is looked at anew, since memory may have become a
 * region meanwhile. */
void pending_look_again(struct native_frame native);

#endif
