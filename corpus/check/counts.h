/* counts.h: what a check found: counts, classes, examples. The counts of parts add up to those of the whole. */
#ifndef SEGUE_CORPUS_COUNTS_H
#define SEGUE_CORPUS_COUNTS_H

#include "corpus/rules/rules.h"

/* Examples that a report keeps of a class, and that the text shows of rows outside every class; the JSON report has all
 * of the latter. The rows alone decide which examples are kept (the smallest hashes), so a merged report equals the
 * report of the whole. */
#define CORPUS_CLASS_EXAMPLES 3
#define CORPUS_UNKNOWN_EXAMPLES 20
#define CORPUS_TEXT_BYTES 120

/* A row, and what each decoder says of it. */
struct corpus_example {
    uint64_t hash;
    struct corpus_row row;
    /* Which party's answer differs, and how (one bit). */
    unsigned party;
    unsigned kind;
    char zydis[CORPUS_TEXT_BYTES];
    char parties[CORPUS_PARTIES][CORPUS_TEXT_BYTES];
};

/* Examples, sorted by hash, at most `most`; where that is CORPUS_ALL_EXAMPLES, sorted by corpus_examples_sort alone. */
#define CORPUS_ALL_EXAMPLES SIZE_MAX
struct corpus_examples {
    struct corpus_example *examples;
    size_t count;
    size_t capacity;
    size_t most;
};

struct corpus_party_counts {
    uint64_t asked;
    /* Rows without any difference. */
    uint64_t agreed;
    /* Rows accepted by both Zydis and the party, and how many of them with the same length. */
    uint64_t both_accepted;
    uint64_t same_length;
    /* By the number of the difference's bit. */
    uint64_t differs[CORPUS_DIFFERENCES];
    /* Of the rows without a difference: mutated answers, and how many of those a class explained. */
    uint64_t spoilt[CORPUS_DIFFERENCES];
    uint64_t passed[CORPUS_DIFFERENCES];
};

/* One party in the rows of a class. */
struct corpus_class_party {
    /* Differences that the class explained, by the number of the difference's bit. */
    uint64_t differs[CORPUS_DIFFERENCES];
    /* Rows in which the party agrees with Zydis. */
    uint64_t agreed;
    /* The shortest row with such a difference, of equals the first by its bytes; NULL for none. */
    struct corpus_example *least;
};

struct corpus_class_counts {
    /* Rows that have a difference of this class; mutated answers that it explained. */
    uint64_t rows;
    uint64_t passed;
    struct corpus_examples examples;
    struct corpus_class_party parties[CORPUS_PARTIES];
};

struct corpus_counts {
    uint64_t rows;
    uint64_t accepted;
    /* Rows with any difference; those with one that no class explains. */
    uint64_t disputed;
    uint64_t unknown_rows;
    struct corpus_party_counts parties[CORPUS_PARTIES];
    struct corpus_class_counts classes[CORPUS_CLASSES];
    struct corpus_examples unknown;
};

/* Keeps at most `unknown` examples of rows outside every class. */
void corpus_counts_init(struct corpus_counts *counts, size_t unknown);
void corpus_counts_free(struct corpus_counts *counts);

/* Whether an example with this hash would be kept. */
bool corpus_examples_want(const struct corpus_examples *examples, uint64_t hash);
/* Keeps the example if it is among the first. */
void corpus_examples_keep(struct corpus_examples *examples, const struct corpus_example *example);

void corpus_examples_sort(struct corpus_examples *examples);

/* Whether the row would be the least one. */
bool corpus_least_wants(const struct corpus_class_party *party, const struct corpus_row *row);
/* Keeps the example if it is the least one. */
void corpus_least_keep(struct corpus_class_party *party, const struct corpus_example *example);

/* Adds `from` to `to`. */
void corpus_counts_add(struct corpus_counts *to, const struct corpus_counts *from);

#endif
