/* batch.h: the breakpoint protocol for several changes at once. */
#ifndef SEGUE_PATCH_BATCH_H
#define SEGUE_PATCH_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "patch/poke/change.h"

/* Makes the changes, at most POKE_BATCH, and stores the status of each; see poke_batch. With the lock of code held.
 * Async-signal-safe. */
void batch_make(struct poke_change *changes, size_t count, unsigned ways, bool can_serialise, poke_peek *peek);

#endif
