/* flow.h: where an instruction goes on, by its outline: an order of magnitude faster than full decoding. 64-bit mode
 * only. Pure: async-signal-safe, thread-safe. */
#ifndef SEGUE_DECODE_FLOW_H
#define SEGUE_DECODE_FLOW_H

#include "displaced.h"
#include "length.h"

/* Finds the flow, and the target of a direct branch, as displaceable_make does. False only means that a full decoder
 * must decide: as for all instructions of which length_is_sure is false. */
bool flow_outline(uint64_t address, const uint8_t *bytes, const struct outline *outline, enum displaced_flow *flow,
                  uint64_t *target);

#endif
