/* answer.h: a decoder's answer to a row, in one form for all decoders, and the differences between two answers. */
#ifndef SEGUE_CORPUS_ANSWER_H
#define SEGUE_CORPUS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum corpus_status {
    /* The decoder was not asked. */
    CORPUS_NOT_ASKED,
    CORPUS_ACCEPTED,
    CORPUS_REFUSED,
};

enum corpus_operand_kind {
    CORPUS_OPERAND_REGISTER,
    CORPUS_OPERAND_MEMORY,
    CORPUS_OPERAND_IMMEDIATE,
    /* A branch target, as the distance from the row's first byte. */
    CORPUS_OPERAND_TARGET,
};

/* Registers are numbers of enum ZydisRegister_; 0 means no register. */
struct corpus_operand {
    /* enum corpus_operand_kind. */
    uint8_t kind;
    /* Memory: 1 read, 2 written, 3 both, 0 not reported. */
    uint8_t direction;
    uint8_t scale;
    /* Memory: the element is repeated over the vector. */
    uint8_t broadcast;
    /* Memory: bytes, 0 not reported. */
    uint16_t size;
    /* Memory: FS or GS. The other segments have no effect in 64-bit mode and are left out. */
    uint16_t segment;
    /* The register; of memory, the base. */
    uint16_t reg;
    uint16_t index;
    /* Displacement, immediate or target. */
    int64_t value;
};

#define CORPUS_OPERANDS 6

/* How an EVEX instruction rounds. */
enum corpus_rounding {
    CORPUS_ROUNDING_NONE,
    CORPUS_ROUNDING_NEAREST,
    CORPUS_ROUNDING_DOWN,
    CORPUS_ROUNDING_UP,
    CORPUS_ROUNDING_ZERO,
    CORPUS_ROUNDING_SAE,
};

struct corpus_answer {
    /* enum corpus_status. */
    uint8_t status;
    uint8_t length;
    uint8_t operand_count;
    uint8_t zeroing;
    /* enum corpus_rounding. */
    uint8_t rounding;
    /* There is no more to compare than status and length. */
    bool length_only;
    /* A mnemonic number of names.h, aliases resolved. */
    uint16_t mnemonic;
    /* The write mask, unless it is k0. */
    uint16_t mask;
    struct corpus_operand operands[CORPUS_OPERANDS];
    /* The decoder's own text, if it answers in text; not terminated. */
    const char *text;
    size_t text_length;
};

/* How two answers differ; a bit set. */
enum corpus_difference {
    CORPUS_DIFFERS_STATUS = 1,
    CORPUS_DIFFERS_LENGTH = 2,
    CORPUS_DIFFERS_MNEMONIC = 4,
    CORPUS_DIFFERS_OPERANDS = 8,
    CORPUS_DIFFERS_SIZE = 16,
    CORPUS_DIFFERS_DIRECTION = 32,
};
#define CORPUS_DIFFERENCES 6

/* "status", "length", "mnemonic", "operands", "size", "direction" by the number of the bit. */
extern const char *const corpus_difference_names[CORPUS_DIFFERENCES];

/* How the operands of two answers differ; a bit set. */
enum corpus_aspect {
    /* There are more of them, or they are of other kinds. */
    CORPUS_ASPECT_COUNT = 1,
    /* They are the same, in another order. */
    CORPUS_ASPECT_ORDER = 2,
    /* A register is another one; or the same one by another width. */
    CORPUS_ASPECT_REGISTER = 4,
    CORPUS_ASPECT_WIDTH = 8,
    CORPUS_ASPECT_SEGMENT = 16,
    CORPUS_ASPECT_BASE = 32,
    CORPUS_ASPECT_INDEX = 64,
    CORPUS_ASPECT_DISPLACEMENT = 128,
    CORPUS_ASPECT_BROADCAST = 256,
    CORPUS_ASPECT_IMMEDIATE = 512,
    CORPUS_ASPECT_MASK = 1024,
    CORPUS_ASPECT_ZEROING = 2048,
    CORPUS_ASPECT_ROUNDING = 4096,
};
#define CORPUS_ASPECTS 13

/* "count", "order", "register", ... by the number of the bit. */
extern const char *const corpus_aspect_names[CORPUS_ASPECTS];

/* How the operands of two accepted answers differ; widths as below. */
unsigned corpus_aspects(const struct corpus_answer *zydis, const struct corpus_answer *other, unsigned width,
                        unsigned address_width);

/* The differences between two answers to the same row, the first of which came from Zydis. A difference hides those
 * that would follow from it: answers that differ in status, length or mnemonic are not compared further. `width` and
 * `address_width` are the instruction's operand and address width in bits: only that many bits of immediates and
 * displacements are compared. */
unsigned corpus_differences(const struct corpus_answer *zydis, const struct corpus_answer *other, unsigned width,
                            unsigned address_width);

#endif
