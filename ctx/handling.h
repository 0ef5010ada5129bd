/* handling.h: the signal handlers of the library that a thread is in, innermost first: which frame each has
 * interrupted. A handler may be left for good, by siglongjmp, without a word to us: so a record on the list counts only
 * if it is still there (`self`), and the thread still below it on the same stack. */
#ifndef SEGUE_CTX_HANDLING_H
#define SEGUE_CTX_HANDLING_H

#include <segue/frame.h>

/* On the handler's stack, right below the kernel's frame. */
struct handling {
    void *ucontext;
    struct handling *outer;
    struct handling *self;
};

extern __thread struct handling *handling_innermost __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* No list that counts is longer. */
#define HANDLING_DEPTH 32

/* The record of the handler that runs on that frame; NULL if it was not the kernel who entered it. */
const struct handling *handling_record_of(const void *ucontext);

struct fault_frame;
struct landing;

/* A direct way out of a handler, prepared. */
struct departure {
    const struct landing *landing;
    const void *area;
    uint64_t features;
};

/* Prepares the direct way out of the library's handler that the frame is of, to the frame's registers and state;
 * `method` is one of the two. With SEGUE_RESTORE_DIRECT_MASK the mask comes into force on the landing's stack, which is
 * the one in use or another. False if this frame does not allow it (segue_frame_restore): then the handler has to return.
 * Precondition: the frame was read, and the system's frame has the same registers. */
bool departure_prepare(struct departure *departure, const struct fault_frame *frame, enum segue_restore_method method,
                       struct landing *landing);
__attribute__((noreturn)) void departure_go(const struct departure *departure);

#endif
