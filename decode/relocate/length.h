/* length.h: length disassembly: an instruction's length, opcode and prefixes, an order of magnitude faster than full
 * decoding. 64-bit mode only. */
#ifndef SEGUE_PATCH_LENGTH_H
#define SEGUE_PATCH_LENGTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pre-decoded instruction. */
struct outline {
    uint8_t length;
    /* The offset of the last opcode byte. */
    uint8_t opcode;
    /* The opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A; 0xff for those of VEX, EVEX and XOP. */
    uint8_t map;
    /* The last F3 or F2 prefix, mandatory or repeating; else 0. */
    uint8_t repeat;
    /* Bit 0: an FS prefix; bit 1: a GS prefix. */
    uint8_t segments;
};

/* Pre-decodes the instruction at `bytes`, of which `size` may be read. Returns its length; 0 if it is truncated or has
 * an encoding that these tables do not cover. It may accept bytes that no processor accepts. For bytes that a processor
 * accepts, the length is right. */
unsigned length_outline(const uint8_t *bytes, size_t size, struct outline *outline);

/* Whether an instruction with this outline may have a memory operand to which a segment prefix applies. False is
 * certain. */
bool length_may_access(const uint8_t *bytes, const struct outline *outline);

/* Whether every processor accepts an instruction with this outline, judged by outline and ModRM alone. False only means
 * that a full decoder must decide. */
bool length_is_sure(const uint8_t *bytes, const struct outline *outline);

#endif
