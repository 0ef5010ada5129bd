/* handling.h: handler activation records: the library's signal handlers that a thread is in, innermost first, and
 * which frame each has interrupted. A handler may be abandoned by siglongjmp, which the library does not notice: so a
 * record on the list is valid only if it is still there (`self`), and the thread's stack pointer is still below it on
 * the same stack. */
#ifndef SEGUE_CTX_HANDLING_H
#define SEGUE_CTX_HANDLING_H

#include <segue/frame.h>

/* A record. It lies on the handler's stack, right below the kernel's frame. */
struct handling {
    void *ucontext;
    struct handling *outer;
    struct handling *self;
};

extern __thread struct handling *handling_innermost __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* No valid list is longer. */
#define HANDLING_DEPTH 32

/* The record of the handler that runs on that frame; NULL if the kernel did not enter the handler. */
const struct handling *handling_record_of(const void *ucontext);

struct fault_frame;
struct landing;

/* A prepared direct restore. */
struct departure {
    const struct landing *landing;
    const void *area;
    uint64_t features;
};

/* Prepares the direct restore from the library's handler with that frame, to the frame's registers and state;
 * `method` is one of the two direct ones. With SEGUE_RESTORE_DIRECT_MASK the mask takes effect on the restore image's
 * stack, which is the present one or another. False if this frame does not allow it (segue_frame_restore): then the
 * handler must return. Precondition: the frame was read, and the kernel's frame has the same registers. */
bool departure_prepare(struct departure *departure, const struct fault_frame *frame, enum segue_restore_method method,
                       struct landing *landing);
__attribute__((noreturn)) void departure_go(const struct departure *departure);

#endif
