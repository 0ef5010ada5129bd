/* extended.h: the processor's extended state as a whole. All are async-signal-safe. */
#ifndef SEGUE_CTX_EXTENDED_H
#define SEGUE_CTX_EXTENDED_H

#include <stdbool.h>
#include <stdint.h>

/* The components that the system has enabled; 0 where there is no XSAVE. */
uint64_t extended_enabled(void);

/* Whether XRSTOR takes an area in the compacted format. */
bool extended_can_compact(void);

/* The components that the system may give to a thread only when it first uses them: tiles. */
uint64_t extended_on_demand(void);

/* Whether a component other than `features` may be in use now, on this thread. */
bool extended_exceeds(uint64_t features);

#endif
