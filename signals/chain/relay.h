/* relay.h: the way from our handler into the one behind it, as if the kernel had called that one. The kernel's frame is
 * taken to where the kernel would have put it for that handler, and our own stack is left for good: whether the handler
 * returns, jumps away or never ends is between it and the kernel. */
#ifndef SEGUE_SIGNALS_RELAY_H
#define SEGUE_SIGNALS_RELAY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/action.h"
#include "platform/code_range.h"
#include "platform/frame.h"

/* One call of a handler. */
struct relay {
    int number;
    const struct platform_action *action;
    /* The signals that are blocked while it runs; and those that the program believes were blocked before. */
    uint64_t mask, believed;
    /* The alternate stack that the program believes to have, with the kernel's flags. */
    const stack_t *stack;
};

/* The frame where the handler will find it. */
struct relay_frame {
    void *info, *ucontext;
    /* It is on another stack than we are. */
    bool by_gate;
    /* The program's alternate stack is the one in force while the handler is on it, as without us: whoever leaves it by
     * longjmp asks (glibc's __longjmp_chk does). */
    bool lends_stack;
};

enum relay_status {
    RELAY_READY,
    /* There is no room where the kernel would have put it: the kernel would have sent the thread SIGSEGV. */
    RELAY_NO_ROOM,
    /* The handler can only be called: the frame is not laid out as it should be, or has to be returned through us. */
    RELAY_IMPOSSIBLE,
};

/* Puts the frame where the kernel would have put it. `*place` is what relay_enter wants if RELAY_READY is returned.
 * Async-signal-safe. */
enum relay_status relay_prepare(const struct relay *relay, struct native_frame native, struct relay_frame *place);

/* Goes into the handler; our own, whose frame was `ucontext`, is over. Async-signal-safe. */
__attribute__((noreturn)) void relay_enter(const struct relay *relay, const void *ucontext,
                                           const struct relay_frame *place);

/* The last step before a handler: the thread counts as standing at the handler's first instruction. */
extern const struct code_range relay_range;

#endif
