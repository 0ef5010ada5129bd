/* subject.h: what hot_body runs: one row from one state, natively and from bodies, alone or among others that access no
 * memory; or in a body of its own, to which that of another access leads. */
#ifndef SEGUE_TESTS_SUBJECT_H
#define SEGUE_TESTS_SUBJECT_H

#include "corpus/rows/rows.h"
#include "decode/relocate/displaced.h"
#include "emulate/body/body.h"
#include "tests/differential/states/batch.h"
#include "tests/differential/states/outcome.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* In the oracle's code: a block, that is the row among others; the row's slot. */
#define BLOCK (BATCH_CODE_ADDRESS + 32u)
#define BLOCK_ROOM 400u
/* What bodies read, near them. */
#define NEAR_ADDRESS (BATCH_CODE_ADDRESS - 0x100000u)
#define SLOT 0
#define FOOTPRINT_MOST 2048u

/* How a state is run. */
enum variant {
    NEAR,
    FAR,
    COUNTED,
    ASKED,
    LOOKED_UP,
    OUTSIDE,
    VARIANTS,
};

/* The bytes of one access. */
struct bytes {
    uint64_t address, size;
    uint8_t clean[FOOTPRINT_MOST], before[FOOTPRINT_MOST], after[FOOTPRINT_MOST];
};

extern struct subject {
    struct test_case test;
    struct segue_insn insn;
    struct displaceable form;
    /* The code, and where in it the row is. */
    uint64_t address;
    uint8_t code[BLOCK_ROOM];
    unsigned size, row, instructions;
    /* Before the row another instruction loads from `other`, whose body ends before the row and leads to the row's.
     * It is the one with that number. */
    bool is_linked;
    uint64_t other;
    unsigned other_number, row_number;
    /* That it uses. */
    uint16_t registers;
    /* That its neighbours do not use. */
    uint16_t spared;
    bool has_own_stack;
    struct bytes footprint[4];
    size_t footprint_count;
    /* The operand that a body may check, wholly in an area, or NULL. Its place in `footprint`. */
    const struct area *area;
    size_t operand;
    struct outcome native;
    /* If it is linked, the row's bodies are `behind`, where `leads` says that the others have links to them. */
    struct body bodies[VARIANTS], behind[VARIANTS];
    enum segue_status statuses[VARIANTS];
    bool leads[VARIANTS];
} subject;

/* How states are made; what is in its areas at the very beginning. */
extern struct generator generator;
extern uint8_t *memory_before;

extern struct counts {
    uint64_t rows, cases, blocks, linked, leads, instructions, faults, checked, inside, led, refused, no_room, masked,
        stepped, places, in_thunks, behind, differences;
    struct {
        const char *why;
        uint64_t count;
        char example[2 * CORPUS_ROW_BYTES + 1];
    } refusals[32];
} counts;

/* Takes a sample of the rows that may stand beside a subject. */
void subject_find_neighbours(const struct corpus_rows *rows, struct random *random);

/* Chooses the subject's code: the row alone, for its slot, or among others, for the block. Writes it there. */
void subject_make_code(struct random *random);
void subject_write_code(void);

#endif
