/* length.h: how long an instruction is, and little else, an order of magnitude faster than decoding it. 64-bit mode. */
#ifndef SEGUE_PATCH_LENGTH_H
#define SEGUE_PATCH_LENGTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An instruction as far as its outline goes. */
struct outline {
    uint8_t length;
    /* Where the last opcode byte stands. */
    uint8_t opcode;
    /* The opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A; 0xff for those of VEX, EVEX and XOP. */
    uint8_t map;
    /* A mandatory or repeating F3 or F2 prefix, the last one; else 0. */
    uint8_t repeat;
    /* Bit 0: there is an FS prefix; bit 1: a GS prefix. */
    uint8_t segments;
};

/* Outlines the instruction at `bytes`, of which `size` may be read. Returns its length; 0 when it is cut off, or has no
 * outline that is known here. It may accept what no processor does; of what a processor accepts, the length is right.
 */
unsigned length_outline(const uint8_t *bytes, size_t size, struct outline *outline);

/* Whether an instruction with this outline may have an operand in memory that a segment prefix is for. False is sure.
 */
bool length_may_access(const uint8_t *bytes, const struct outline *outline);

/* Whether every processor accepts an instruction with this outline, told by the outline and ModRM alone. False only
 * means that it takes a decoder to tell. */
bool length_is_sure(const uint8_t *bytes, const struct outline *outline);

#endif
