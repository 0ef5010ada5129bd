/* terms.h: a `when` of a known disagreement in its parsed form: parse.c builds it, match.c evaluates it. */
#ifndef SEGUE_CORPUS_TERMS_H
#define SEGUE_CORPUS_TERMS_H

#include "rules.h"

/* What a term tests. */
enum corpus_field_kind {
    /* A number of the shape or of the row. */
    CORPUS_FIELD_NUMBER,
    CORPUS_FIELD_ENCODING,
    /* The set of legacy prefixes: all that are named must be there; with !=, none of them. */
    CORPUS_FIELD_PREFIX,
    /* Accepted or refused, of Zydis or of a party. */
    CORPUS_FIELD_STATUS,
    CORPUS_FIELD_MNEMONIC,
    /* The text contains the word. */
    CORPUS_FIELD_TEXT,
    /* The direction of the first memory operand. */
    CORPUS_FIELD_DIRECTION,
    /* How the operands differ: in no aspect that the term does not name. */
    CORPUS_FIELD_DIFFERS,
    /* By how many bytes the decoder's instruction is longer than Zydis'. */
    CORPUS_FIELD_LONGER,
    /* Zydis' name for the instruction's set or category. */
    CORPUS_FIELD_ISA,
    CORPUS_FIELD_CATEGORY,
    /* A function of predicates.c, by name. */
    CORPUS_FIELD_PREDICATE,
};

#define CORPUS_TERM_VALUES 48
#define CORPUS_WHEN_TERMS 16
/* Stands for Zydis where a party is expected. */
#define CORPUS_PARTY_ZYDIS CORPUS_PARTIES

struct corpus_value {
    long low, high;
    char text[32];
};

struct corpus_term {
    enum corpus_field_kind kind;
    bool negated;
    /* A party, or CORPUS_PARTY_ZYDIS; for corpus_numbers, the field. */
    unsigned which;
    unsigned value_count;
    struct corpus_value values[CORPUS_TERM_VALUES];
};

struct corpus_when {
    struct corpus_term terms[CORPUS_WHEN_TERMS];
    size_t count;
};

/* Fields with numbers, by name; `base` is the base of their values. */
struct corpus_number_field {
    const char *name;
    int base;
    long (*get)(const struct corpus_case *row, const struct corpus_shape *shape);
};

/* The last has no name. */
extern const struct corpus_number_field corpus_numbers[];

/* The number of a party's name, CORPUS_PARTY_ZYDIS for "zydis"; -1 for one that does not take part. */
int corpus_party_of(const char *name, size_t length);

#endif
