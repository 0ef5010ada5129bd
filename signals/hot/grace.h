/* grace.h: waits until no thread can still make an access that a closed slot had let through. */
#ifndef SEGUE_SIGNALS_HOT_GRACE_H
#define SEGUE_SIGNALS_HOT_GRACE_H

#include "slots.h"

/* Returns when no thread of this process is between the check and the access of a body of `slot`, or in its policy.
 * The slot must be closed. Not async-signal-safe; not inside a fault, and not in a hot policy of the slot. */
void hot_slot_wait(const struct hot_slot *slot);

#endif
