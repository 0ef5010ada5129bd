/* relay.h: the way from our handler into the one behind it, as if the kernel had called that one. The kernel's frame is
 * taken to where the kernel would have put it for that handler, and our own stack is left for good: whether the handler
 * returns, jumps away or never ends is between it and the kernel. */
#ifndef SEGUE_SIGNALS_RELAY_H
#define SEGUE_SIGNALS_RELAY_H

#include <signal.h>
#include <stdint.h>

/* The frame where the handler will find it. */
struct relay_frame {
    siginfo_t *info;
    void *ucontext;
};

enum relay_status {
    RELAY_READY,
    /* There is no room where the kernel would have put it: the kernel would have sent the thread SIGSEGV. */
    RELAY_NO_ROOM,
    /* The handler can only be called: the frame is not laid out as it should be, or has to be returned through us. */
    RELAY_IMPOSSIBLE,
};

/* Puts the frame where the kernel would have put it for `action`, with the alternate stack that the program believes to
 * have in `believed`, and tells it so. `*place` is written if RELAY_READY is returned. Async-signal-safe. */
enum relay_status relay_prepare(siginfo_t *info, void *ucontext, const struct sigaction *action,
                                const stack_t *believed, struct relay_frame *place);

/* Goes into the handler; our own, whose frame was `ucontext`, is over. Async-signal-safe. */
__attribute__((noreturn)) void relay_enter(int number, const void *ucontext, const struct sigaction *action,
                                           const struct relay_frame *place);

#endif
