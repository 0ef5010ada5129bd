/* addresses.h: plans whose accesses leave the addresses that there are, where an engine would raise another exception than
 * the processor does. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_ADDRESSES_H
#define SEGUE_EMULATE_ADDRESSES_H

#include <segue/emulate.h>

/* Whether an access through SS is to an address that is not canonical. The processor raises #SS for it and #GP elsewhere;
 * redirected, or missed in a copy, it would be the latter always. */
bool addresses_are_beyond_stack(const struct segue_plan *plan);

/* Whether an effective address is not canonical before the base of FS or GS is added: processors raise #GP for it even
 * where the sum is (docs/facts.md). */
bool addresses_are_beyond_segment(const struct segue_plan *plan, const struct segue_regs *regs);

/* Whether an access, of repeated strings the first element, begins at a canonical address and ends at one that is not: #GP
 * for the whole of it, which its parts do not raise. */
bool addresses_end_beyond(const struct segue_plan *plan);

#endif
