/* outside.h: a decoder from outside: a shell command that reads rows and writes answers (docs/corpus.md). */
#ifndef SEGUE_CORPUS_OUTSIDE_H
#define SEGUE_CORPUS_OUTSIDE_H

#include "decoders.h"
#include "process.h"

/* All zero bytes mean a decoder that does not take part. */
struct corpus_outside {
    const char *name;
    struct corpus_process process;
    /* Where in its answers the reader is. */
    const char *at;
};

/* Gives the decoder the `count` rows whose numbers are in `numbers`, and waits for all answers: for `patience` seconds
 * without an answer, or, if that is 0, for a time that depends on their number. False, and `error`, on failure;
 * corpus_outside_end must be called in either case. */
bool corpus_outside_run(struct corpus_outside *outside, const char *name, const char *command,
                        const struct corpus_rows *rows, const uint32_t *numbers, size_t count, unsigned patience,
                        struct corpus_error *error);

/* The answer to the next row; its text lives until corpus_outside_end. False, and `error`, on failure. */
bool corpus_outside_next(struct corpus_outside *outside, struct corpus_answer *answer, struct corpus_error *error);

void corpus_outside_end(struct corpus_outside *outside);

#endif
