/* unhandled.h: reports a fault that has no handler. */
#ifndef SEGUE_SIGNALS_UNHANDLED_H
#define SEGUE_SIGNALS_UNHANDLED_H

#include "platform/frame/frame.h"

/* Reports to a debugger a fault that the process is about to die of. Uses about 400 bytes of stack.
 * Async-signal-safe. */
void unhandled_tell(struct native_frame native);

#endif
