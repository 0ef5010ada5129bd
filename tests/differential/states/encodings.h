/* encodings.h: instructions of every opcode map with random prefixes, operands and register states, aimed at a chosen
 * place in memory; those among them that the library's plan refuses are counted and left out.
 *
 * An encoding is random bytes that the decoder accepts; its address is solved from Zydis' operands, not from the
 * library's. What it does, the processor says: nothing here knows. */
#ifndef SEGUE_TESTS_ENCODINGS_H
#define SEGUE_TESTS_ENCODINGS_H

#include "generate.h"

/* How many reasons for a refusal are distinguished. */
#define ENCODINGS_REASONS 32

/* What was left out, and why. */
struct encodings_refusals {
    struct {
        const char *why;
        uint64_t count;
        /* One of them. */
        uint8_t example[16];
        uint8_t example_length;
    } reasons[ENCODINGS_REASONS];
    uint64_t planned;
};
extern struct encodings_refusals encodings_refusals;

/* Which mnemonics a run had, by their Zydis numbers: how many cases each. */
extern uint32_t encodings_mnemonics[];

/* Makes case `number` as generate_case does. `image` is the XSAVE area that images[i] of the batch begins at; the case
 * says which it uses. */
void encodings_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                    struct test_case *test);

/* Whether an instruction can be run in a slot: it comes back, and the harness lives on. */
bool encodings_can_run(const struct segue_insn *insn);

/* Gives the case, whose `size` first bytes are set, a random state that is planned; false if none was found or the
 * bytes cannot be run. */
bool encodings_state(const struct generator *generator, struct random *random, size_t slot, const void *images,
                     size_t size, struct test_case *test);

/* Makes case `number` of the rows (rows.h); one that does nothing where no state of its row can be run. */
void encodings_row_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                        struct test_case *test);

/* Makes random XSAVE images more useful: x87 and SSE exceptions masked in most, vectors of small numbers, that are
 * indices within a page, in some. */
void encodings_tame_image(struct random *random, void *image);
/* So many random images, one behind the other, tamed; NULL without memory. */
uint8_t *encodings_images(struct random *random, size_t count);

#endif
