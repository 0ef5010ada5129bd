/* registered.h: an instruction whose memory operand has become [register]. */
#ifndef SEGUE_EMULATE_BODY_REGISTERED_H
#define SEGUE_EMULATE_BODY_REGISTERED_H

#include "decode/relocate/displaced.h"

/* The instruction with its operand at the address in `reg` (enum segue_register, not RSP), which it must not use
 * otherwise. False if it has no operand in ModRM without a vector of indices, or none of 64-bit addresses, or if its
 * encoding has no place for the register. `out` has room for DISPLACED_BYTES. Pure. */
bool registered_copy(const struct displaceable *form, unsigned reg, uint8_t *out, uint8_t *length);

#endif
