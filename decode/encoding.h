/* encoding.h: prefixes and register numbers in instruction encodings, in 64-bit mode.
 *
 * SOURCES: Intel SDM volume 2, 2.1.1 (legacy prefixes), 2.1.5 (ModRM), 2.2.1 (REX), 2.3 (VEX), 2.7 (EVEX) and table 2-2
 * (register numbers); AMD APM volume 3, 1.2 (XOP). */
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

#define VEX2 0xc5
#define VEX3 0xc4
#define EVEX 0x62
#define XOP 0x8f
/* Inverted, in the second byte of VEX3, XOP and EVEX; VEX2 has R alone there. */
#define VECTOR_R 0x80u
#define VECTOR_X 0x40u
#define VECTOR_B 0x20u

/* The r/m field of ModRM: SIB follows; without a base, if the mode field is 0. */
#define RM_SIB 4u
#define RM_NO_BASE 5u

static inline bool encoding_is_rex(uint8_t byte)
{
    return (byte & 0xf0) == REX;
}

#define PREFIX_FS 0x64
#define PREFIX_ADDRESS_SIZE 0x67

/* A segment override that has no effect, except as a hint before a branch. */
static inline bool encoding_is_null_segment(uint8_t byte)
{
    return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e;
}

/* Legacy prefixes, whether they have an effect or not. */
static inline bool encoding_is_legacy_prefix(uint8_t byte)
{
    switch (byte) {
    case PREFIX_FS:
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
