/* hot.h: hot sites, as the handler sees them: it makes a site hot instead of serving its fault, and takes faults that
 * come from bodies for those of the application's instructions. */
#ifndef SEGUE_SIGNALS_HOT_H
#define SEGUE_SIGNALS_HOT_H

#include "leave.h"
#include "patch/hot/hot.h"
#include "platform/frame/frame.h"
#include "signals/regions/region.h"

/* What a fault in a body is. */
enum hot_fault {
    /* The thread is in no body: nothing has changed. */
    HOT_FAULT_ELSEWHERE,
    /* The frame and the fault's address are now those of the application's instruction. */
    HOT_FAULT_TRANSLATED,
    /* The thread goes on when the handler returns: at the application's instruction, now that it has counters; or it
     * makes the access as the program wrote it, without the check, for which its stack had no room, or which it could
     * not count. */
    HOT_FAULT_RESUMED,
};

/* The most of the handler's stack that making sites hot needs (tests/signals/hot/hot_left.c measures it). With less, a
 * site goes on faulting. */
#define HOT_STACK 8192u

/* Where in a body a fault came from. */
struct hot_origin {
    /* NULL: from no body. */
    const struct hot_body *body;
    /* The body checks the instruction's address. */
    bool is_checked;
};

/* For a fault's frame. Async-signal-safe. */
enum hot_fault hot_take_fault(struct native_frame native, struct hot_origin *origin);

/* For the frame of a single-step trap: true if the thread is in a body and has not completed an instruction of the
 * application since it entered it. Then the handler returns. Async-signal-safe. */
bool hot_take_step(void *context);

/* The instruction at `site` has faulted in the hot region; `room` is what is left of the handler's stack. Makes the
 * site hot, if it can be and no other thread changes code at the moment. True if it is hot now: the thread runs the
 * instruction again, and nothing has been done for it. Precondition: readers_enter. Async-signal-safe. */
bool hot_consider(const struct region *region, uint64_t site, struct hot_origin origin, size_t room);

#endif
