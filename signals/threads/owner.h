/* owner.h: whose handler a signal has. */
#ifndef SEGUE_SIGNALS_OWNER_H
#define SEGUE_SIGNALS_OWNER_H

#include <segue/handler.h>
#include <signal.h>

/* Names the handler in `action`, and the object file that holds it. `owner` may be NULL. Not async-signal-safe. */
void owner_name(int number, const struct sigaction *action, struct segue_owner *owner);

#endif
