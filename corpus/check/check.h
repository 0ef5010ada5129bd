/* check.h: checks rows: asks every decoder, compares the answers, and finds the class of each difference. */
#ifndef SEGUE_CORPUS_CHECK_H
#define SEGUE_CORPUS_CHECK_H

#include "corpus/support/workers.h"
#include "counts.h"

/* Which rows objdump gets. */
enum corpus_referee {
    /* Every row. */
    CORPUS_REFEREE_ALL,
    /* The rows on which the decoders in this process do not agree, and a share of the others. */
    CORPUS_REFEREE_DISPUTED,
    CORPUS_REFEREE_NONE,
};

struct corpus_check {
    const struct corpus_rows *rows;
    const struct corpus_rules *rules;
    enum corpus_referee referee;
    /* With CORPUS_REFEREE_DISPUTED: objdump also gets one in this many of the rows without a dispute, chosen by hash; 0
     * for no such row. */
    unsigned share;
    /* Whether segue_decode takes part, and what the rows' sources claim. */
    bool with_segue;
    bool with_source;
    const char *objdump;
    /* Shell commands of the decoders from outside, by party from CORPUS_OUTSIDE; NULL for none. */
    const char *outside[CORPUS_PARTIES];
    /* Only rows whose hash is `shard` modulo `shards`. */
    unsigned shard, shards;
    unsigned jobs;
    /* How many examples to keep of rows outside every class; CORPUS_ALL_EXAMPLES for all. */
    size_t unknown_examples;
    /* Seconds without output after which a decoder from outside is killed; 0: a time that depends on its number of
     * rows. */
    unsigned patience;
    corpus_progress *progress;
    /* Run the mutation test (spoil.h): count the wrong answers that a known class would explain. */
    bool spoils;
};

/* Checks, and fills `counts`, which corpus_counts_init has made. False, and `error`, when a decoder could not be run.
 */
bool corpus_check_run(const struct corpus_check *check, struct corpus_counts *counts, struct corpus_error *error);

#endif
