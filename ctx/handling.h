/* handling.h: the signal handlers of the library that a thread is in, innermost first: which frame each has
 * interrupted. A handler may be left for good, by siglongjmp, without a word to us: so a record on the list counts only
 * if it is still there (`self`), and the thread still below it on the same stack. */
#ifndef SEGUE_CTX_HANDLING_H
#define SEGUE_CTX_HANDLING_H

#include <segue/posix.h>

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

/* As segue_restore with the frame's own registers and state, out of the handler that the frame is of. With
 * SEGUE_RESTORE_DIRECT_MASK the mask comes into force on the landing's stack: `landing` is room for it on another one,
 * NULL for the stack in use. */
struct landing;
void handling_restore(void *ucontext, enum segue_restore_method method, struct landing *landing);

#endif
