/* shape.h: an instruction's encoding, read from its bytes alone, whether or not any decoder accepts them. The rules of
 * the known disagreements test it. */
#ifndef SEGUE_CORPUS_SHAPE_H
#define SEGUE_CORPUS_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum corpus_encoding {
    CORPUS_ENCODING_LEGACY,
    CORPUS_ENCODING_3DNOW,
    CORPUS_ENCODING_XOP,
    CORPUS_ENCODING_VEX,
    CORPUS_ENCODING_EVEX,
    /* APX: D5, a byte of register extensions, an opcode of map 0 or 1. */
    CORPUS_ENCODING_REX2,
};
#define CORPUS_ENCODINGS 6

/* Legacy prefixes by bit, in the order of corpus_prefix_names. */
enum corpus_prefix {
    CORPUS_PREFIX_26 = 1,
    CORPUS_PREFIX_2E = 2,
    CORPUS_PREFIX_36 = 4,
    CORPUS_PREFIX_3E = 8,
    CORPUS_PREFIX_64 = 16,
    CORPUS_PREFIX_65 = 32,
    CORPUS_PREFIX_66 = 64,
    CORPUS_PREFIX_67 = 128,
    CORPUS_PREFIX_F0 = 256,
    CORPUS_PREFIX_F2 = 512,
    CORPUS_PREFIX_F3 = 1024,
};

/* Fields that an encoding does not have are 0. */
struct corpus_shape {
    /* enum corpus_encoding. */
    uint8_t encoding;
    /* Legacy: 0, 0x0f, 0x38, 0x3a. REX2: 0, 0x0f. VEX, EVEX, XOP: their map field. */
    uint8_t map;
    uint8_t opcode;
    /* The REX prefix that has an effect: the one right before the opcode. */
    uint8_t rex;
    /* enum corpus_prefix bits. */
    uint16_t prefixes;
    /* How many prefix bytes stand before the opcode, REX prefixes counted. */
    uint8_t prefix_count;
    /* REX prefixes without effect, because another prefix follows. */
    uint8_t lost_rex;
    /* Prefixes that repeat one of their own kind (segments, 66, 67, F0/F2/F3). */
    uint8_t repeated;
    uint8_t mod, reg, rm;
    uint8_t w, pp;
    /* L of VEX, L'L of EVEX. */
    uint8_t ll;
    uint8_t b, z, aaa;
    /* EVEX.U: the bit that MVEX has clear; APX calls it X4. */
    uint8_t u;
    /* EVEX.B4, which APX made of a reserved bit. */
    uint8_t b4;
    /* The vvvv field as it is in the bytes, with EVEX's fifth bit above it. */
    uint8_t vvvv;
    /* Where the opcode stands. */
    uint8_t opcode_at;
};

/* Reads the shape of 64-bit code. `slot` must hold 32 bytes. */
void corpus_shape_read(const uint8_t *slot, struct corpus_shape *shape);

/* "legacy", "3dnow", "xop", "vex", "evex", "rex2" by number. */
extern const char *const corpus_encoding_names[CORPUS_ENCODINGS];
/* "26", "2e", ... by bit. */
extern const char *const corpus_prefix_names[11];

#endif
