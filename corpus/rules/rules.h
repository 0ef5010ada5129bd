/* rules.h: the known disagreements between decoders, as data (corpus/data/disagreements.txt).
 *
 * A class names a disagreement, says which decoder is right and why we believe so, and lists the differences that it
 * explains: of which decoder, of which kind, and under which conditions:
 *
 *     class evex-unknown-to-capstone
 *       of capstone status
 *       when encoding=evex zydis=accepted objdump=accepted capstone=refused
 *       right zydis
 *       why Capstone 4.0.2 lacks a third of AVX-512 ...
 *
 * The terms of a `when` must all hold; a class with several `when` lines applies if one of them does. docs/corpus.md
 * lists the terms. A difference that no class explains fails the check. */
#ifndef SEGUE_CORPUS_RULES_H
#define SEGUE_CORPUS_RULES_H

#include "corpus/decoders/answer.h"
#include "corpus/decoders/decoders.h"
#include "corpus/rows/shape.h"
#include "corpus/support/error.h"

/* The parties beside Zydis, by number: Capstone, objdump, segue_decode, the row's source; then decoders from
 * outside. */
enum corpus_party {
    CORPUS_CAPSTONE,
    CORPUS_OBJDUMP,
    CORPUS_SEGUE,
    CORPUS_SOURCE,
    CORPUS_OUTSIDE,
};
#define CORPUS_PARTIES 14

/* The parties' names; those of outside decoders must be set before the rules are read. */
extern const char *corpus_party_names[CORPUS_PARTIES];

/* The decoder whose known disagreements also hold of an outside party ("objdump" for another build of it), or NULL.
 * Must be set before the rules are read. */
extern const char *corpus_party_bases[CORPUS_PARTIES];

/* A row with all answers to it. */
struct corpus_case {
    const struct corpus_row *row;
    uint8_t slot[CORPUS_SLOT_BYTES];
    /* Valid where Zydis accepts. */
    struct corpus_zydis zydis;
    struct corpus_answer zydis_answer;
    struct corpus_answer answers[CORPUS_PARTIES];
    /* enum corpus_difference bits of each party against Zydis. */
    unsigned differences[CORPUS_PARTIES];
};

#define CORPUS_CLASSES 192

struct corpus_class {
    char *name;
    char *right;
    char *why;
    /* enum corpus_difference bits that the class explains, by party. */
    unsigned explains[CORPUS_PARTIES];
    struct corpus_when *whens;
    size_t when_count;
};

struct corpus_rules {
    struct corpus_class classes[CORPUS_CLASSES];
    size_t count;
};

/* Adds the classes of a file after those already there; corpus_names_read must have been called. False, and `error`, on
 * failure. corpus_rules_free must be called in either case. */
bool corpus_rules_read(struct corpus_rules *rules, const char *path, struct corpus_error *error);
void corpus_rules_free(struct corpus_rules *rules);

/* The number of the first class that explains the difference `kind` (one bit) of `party`; -1 if none does.
 * Thread-safe. */
int corpus_rules_find(const struct corpus_rules *rules, const struct corpus_case *row, const struct corpus_shape *shape,
                      unsigned party, unsigned kind);

#endif
