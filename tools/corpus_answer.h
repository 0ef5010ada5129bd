/* corpus_answer.h: what a decoder says of a row, in one form for all decoders, and how two answers differ. */
#ifndef SEGUE_TOOLS_CORPUS_ANSWER_H
#define SEGUE_TOOLS_CORPUS_ANSWER_H

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

/* Registers are numbers of enum ZydisRegister_; 0 is none. */
struct corpus_operand {
    /* enum corpus_operand_kind. */
    uint8_t kind;
    /* Memory: 1 read, 2 written, 3 both, 0 not told. */
    uint8_t direction;
    uint8_t scale;
    /* Memory: the element is repeated over the vector. */
    uint8_t broadcast;
    /* Memory: bytes, 0 not told. */
    uint16_t size;
    /* Memory: FS or GS; the other segments count for nothing in 64-bit mode and are left out. */
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
    /* A mnemonic number of corpus_names.h, aliases resolved. */
    uint16_t mnemonic;
    /* The write mask, unless it is k0. */
    uint16_t mask;
    struct corpus_operand operands[CORPUS_OPERANDS];
    /* The decoder's own words where it answers in text; not terminated. */
    const char *text;
    size_t text_length;
};

/* In what two answers differ; a bit set. */
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

/* The differences between two answers to the same row, the first of which came from Zydis. A difference hides those
 * that would follow from it: answers that differ in status, length or mnemonic are compared no further. `width` and
 * `address_width` are the instruction's operand and address width in bits: immediates and displacements are equal if
 * those bits are. */
unsigned corpus_differences(const struct corpus_answer *zydis, const struct corpus_answer *other, unsigned width,
                            unsigned address_width);

#endif
