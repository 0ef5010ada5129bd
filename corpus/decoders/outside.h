/* outside.h: a decoder from outside: a shell command that reads rows and writes answers (docs/corpus.md). */
#ifndef SEGUE_CORPUS_OUTSIDE_H
#define SEGUE_CORPUS_OUTSIDE_H

#include "decoders.h"
#include "process.h"

/* All zero bytes are one that takes no part. */
struct corpus_outside {
    const char *name;
    struct corpus_process process;
    /* Where the reading of its answers stands. */
    const char *at;
};

/* Gives it the `count` rows whose numbers stand in `numbers`, and waits for all answers; for `patience` seconds without
 * an answer, or, if that is 0, for a time by their number. False, and `error`, on failure; corpus_outside_end
 * must be called in either case. */
bool corpus_outside_run(struct corpus_outside *outside, const char *name, const char *command,
                        const struct corpus_rows *rows, const uint32_t *numbers, size_t count, unsigned patience,
                        struct corpus_error *error);

/* The answer to the next row; its text lives until corpus_outside_end. False, and `error`, on failure. */
bool corpus_outside_next(struct corpus_outside *outside, struct corpus_answer *answer, struct corpus_error *error);

void corpus_outside_end(struct corpus_outside *outside);

#endif
