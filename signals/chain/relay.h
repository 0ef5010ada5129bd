/* relay.h: the way from our handler into the one behind it, as if the kernel had called that one. The kernel's frame is
 * taken to where the kernel would have put it for that handler, and our own stack is left for good: whether the handler
 * returns, jumps away or never ends is between it and the kernel. */
#ifndef SEGUE_SIGNALS_RELAY_H
#define SEGUE_SIGNALS_RELAY_H

#include "platform/code_range.h"
#include "platform/relay.h"

/* As relay_prepare, which it calls with what else that has to know. RELAY_IMPOSSIBLE also while a guest is interrupted, and
 * with a shadow stack, from which only the kernel can take a frame away. Async-signal-safe. */
enum relay_status relay_begin(struct relay *relay, struct native_frame native, struct relay_frame *place);

/* Goes into the handler; our own, whose frame was `ucontext`, is over. Async-signal-safe. */
__attribute__((noreturn)) void relay_enter(const struct relay *relay, const void *ucontext,
                                           const struct relay_frame *place);

/* The last step before a handler: the thread counts as standing at the handler's first instruction. */
extern const struct code_range relay_range;

#endif
