/* unhandled.h: a fault that nobody handles. */
#ifndef SEGUE_SIGNALS_UNHANDLED_H
#define SEGUE_SIGNALS_UNHANDLED_H

#include "platform/frame.h"

/* Tells a debugger of a fault that the process is about to die of. Takes some 400 bytes of stack. Async-signal-safe. */
void unhandled_tell(struct native_frame native);

#endif
