/* relay.h: signal-frame relocation: enters the chained handler as if the kernel had called it. The kernel's frame is
 * moved to where the kernel would have put it for that handler, and the library's own stack is abandoned: whether the
 * handler returns, jumps away or never ends does not concern the library. */
#ifndef SEGUE_SIGNALS_RELAY_H
#define SEGUE_SIGNALS_RELAY_H

#include "platform/code_range.h"
#include "platform/handlers/relay.h"

/* As relay_prepare, which it calls with the rest of its arguments. Also RELAY_IMPOSSIBLE while a guest is
 * interrupted, and with a shadow stack, from which only the kernel can remove a frame. Async-signal-safe. */
enum relay_status relay_begin(struct relay *relay, struct native_frame native, struct relay_frame *place);

/* Enters the handler; the library's own handler, whose frame was `ucontext`, ends. Async-signal-safe. */
__attribute__((noreturn)) void relay_enter(const struct relay *relay, const void *ucontext,
                                           const struct relay_frame *place);

/* The last step before a handler: fault-PC translation gives the handler's first instruction. */
extern const struct code_range relay_range;

#endif
