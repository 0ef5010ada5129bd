/* check.h: checks rows: asks every decoder, compares, and explains the differences by the known classes. */
#ifndef SEGUE_CORPUS_CHECK_H
#define SEGUE_CORPUS_CHECK_H

#include "counts.h"
#include "corpus/support/workers.h"

/* Which rows objdump sees. */
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
    /* With CORPUS_REFEREE_DISPUTED: one row in this many of those that nobody disputes, chosen by hash; 0 for none. */
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
    /* Seconds after which a decoder from outside that writes nothing is ended; 0: by how many rows it was given. */
    unsigned patience;
    corpus_progress *progress;
    /* Count what would pass for a known disagreement if an answer were wrong. */
    bool spoils;
};

/* Checks, and fills `counts`, which corpus_counts_init has made. False, and `error`, when a decoder could not be run.
 */
bool corpus_check_run(const struct corpus_check *check, struct corpus_counts *counts, struct corpus_error *error);

#endif
