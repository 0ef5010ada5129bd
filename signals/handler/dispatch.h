/* dispatch.h: prepares the fault dispatcher before its first fault. */
#ifndef SEGUE_SIGNALS_DISPATCH_H
#define SEGUE_SIGNALS_DISPATCH_H

#include <stdbool.h>

/* Binds and warms all that the first fault needs, and chooses the return path of the handler; `blocks_signals`:
 * signals are blocked while it runs; `catches_calls`: system calls are caught. */
void dispatch_prepare(bool blocks_signals, bool catches_calls);

#endif
