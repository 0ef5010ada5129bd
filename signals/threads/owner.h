/* owner.h: names the owner of a signal's handler. */
#ifndef SEGUE_SIGNALS_OWNER_H
#define SEGUE_SIGNALS_OWNER_H

#include <segue/handler.h>
#include <signal.h>

/* Names the handler of signal `number`, and the object file that contains it. `owner` may be NULL. Not
 * async-signal-safe. */
void owner_name(int number, void *handler, struct segue_owner *owner);

#endif
