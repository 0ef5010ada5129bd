/* dispatch.h: what the dispatcher of faults needs before the first one. */
#ifndef SEGUE_SIGNALS_DISPATCH_H
#define SEGUE_SIGNALS_DISPATCH_H

#include <stdbool.h>

/* Makes the first fault find everything bound and warm, and chooses the way out of the handler, during which signals
 * are blocked or are not. */
void dispatch_prepare(bool blocks_signals);

#endif
