/* judge.h: one row: the answers of the decoders in this process, how all answers differ, and which known class
 * explains each difference. */
#ifndef SEGUE_CORPUS_JUDGE_H
#define SEGUE_CORPUS_JUDGE_H

#include "counts.h"

/* Belongs to one thread. */
struct corpus_judge {
    const struct corpus_rules *rules;
    /* Whether segue_decode takes part, and what the rows' sources claim. */
    bool with_segue, with_source;
    struct corpus_capstone *capstone;
    struct corpus_counts counts;
    /* The current row. */
    struct corpus_case row;
};

/* Asks the decoders in this process about a row. The answers of the others are "not asked" until they are filled in. */
void corpus_judge_ask(struct corpus_judge *judge, const struct corpus_row *row);

/* Fills in the differences between the answers. */
void corpus_judge_compare(struct corpus_judge *judge);

/* Finds the class of each difference, and counts the row. */
void corpus_judge_count(struct corpus_judge *judge);

#endif
