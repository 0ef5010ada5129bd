/* encoding.h: prefixes and register numbers in instruction encodings, in 64-bit mode.
 *
 * SOURCES: Intel SDM volume 2, 2.1.1 (legacy prefixes), 2.2.1 (REX) and table 2-2 (register numbers). */
#ifndef SEGUE_DECODE_ENCODING_H
#define SEGUE_DECODE_ENCODING_H

#include <segue/regs.h>
#include <stdbool.h>

#define REX 0x40u
/* With 64-bit operands. */
#define REX_64 0x48u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

static inline bool encoding_is_rex(uint8_t byte)
{
    return (byte & 0xf0) == REX;
}

/* A segment override that has no effect, except as a hint before a branch. */
static inline bool encoding_is_null_segment(uint8_t byte)
{
    return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e;
}

/* Legacy prefixes, whether they have an effect or not. */
static inline bool encoding_is_legacy_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return encoding_is_null_segment(byte);
    }
}

static inline bool encoding_is_prefix(uint8_t byte)
{
    return encoding_is_legacy_prefix(byte) || encoding_is_rex(byte);
}

/* The number of a general register (enum segue_register). */
static inline unsigned encoding_of(unsigned reg)
{
    static const uint8_t low[] = {0, 3, 1, 2, 6, 7, 5, 4};
    return reg < sizeof low ? low[reg] : reg;
}

#endif
