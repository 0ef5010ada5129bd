/* generate.h: every encoding of the MOV family with a memory operand, each with a random register state that makes it
 * access a chosen place. Knows the encodings from the manuals alone, nothing of the library's decoder.
 *
 * A form is one combination of opcode, prefixes, REX, ModRM and SIB; displacements, immediates and registers are the
 * state. Forms are numbered, and a test case's number gives its form, in an order that repeats none until all have
 * been: first three of the core (the prefixes that compilers emit) and two of the rest by turns, then the rest. */
#ifndef SEGUE_TESTS_GENERATE_H
#define SEGUE_TESTS_GENERATE_H

#include "areas.h"
#include "oracle.h"

/* Set in rflags: misaligned accesses raise #AC. */
#define TEST_FLAG_ALIGNMENT_CHECK 0x40000u

/* One instruction, the state it starts from, and what it will do. Another family's generator fills the same. */
struct test_case {
    uint8_t bytes[16];
    uint8_t length;
    /* Which of the batch's XSAVE images it starts with. */
    uint8_t image;
    struct oracle_registers registers;
    uint64_t gs_base;
    /* What it accesses, in order; none when it does not get so far. */
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t access_count;
    /* It repeats: each fault finds fewer accesses left. */
    bool repeats;
    /* With a count that leads out of the areas: it ends at the inaccessible page beside one, or at what it looks
     * for. */
    bool runs_far;
    /* Bytes that #GP is raised for, there being more than 15. */
    bool too_long;
    /* Nothing: a place is filled. */
    bool idle;
    /* Bytes that are put into memory before it runs: where it is to come back, flags, selectors. */
    bool has_planted;
    uint8_t planted_size;
    uint8_t planted[40];
    uint64_t planted_address;
};

struct generator {
    uint64_t seed;
    uint64_t fs_base;
    const struct areas *areas;
    unsigned images;
};

/* How many forms there are; the core comes first. */
uint64_t generate_form_count(void);
uint64_t generate_core_count(void);

/* How many distinct forms the cases below `cases` have, and how many of them are of the core. */
uint64_t generate_distinct(uint64_t cases);
uint64_t generate_distinct_core(uint64_t cases);

/* Makes case `number`, whose instruction will stand at `slot_address(slot, length)`. */
void generate_case(const struct generator *generator, uint64_t number, size_t slot, struct test_case *test);

/* An odd number's inverse modulo 2^64. */
uint64_t generate_inverse(uint64_t odd);

/* The form of a case, in words for a report. */
void generate_describe(const struct test_case *test, char *text, size_t size);

/* MOVSXD with a 16-bit destination: how many bytes this processor reads. Asked once, before cases are made. */
void generate_learn_processor(unsigned movsxd_r16_bytes);

#endif
