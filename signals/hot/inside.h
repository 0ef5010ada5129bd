/* inside.h: what a fault or a trap in a body is, for the handler. */
#ifndef SEGUE_SIGNALS_HOT_INSIDE_H
#define SEGUE_SIGNALS_HOT_INSIDE_H

#include "patch/hot/hot.h"
#include "platform/frame/frame.h"

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

#endif
