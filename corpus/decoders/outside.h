/* corpus_outside.h: a decoder from outside: a shell command that reads rows and writes answers (docs/corpus.md). */
#ifndef SEGUE_TOOLS_CORPUS_OUTSIDE_H
#define SEGUE_TOOLS_CORPUS_OUTSIDE_H

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
 * an answer, or, if that is 0, for a time by their number. On failure says why on standard error and returns false;
 * corpus_outside_end must be called in either case. */
bool corpus_outside_run(struct corpus_outside *outside, const char *name, const char *command,
                        const struct corpus_rows *rows, const uint32_t *numbers, size_t count, unsigned patience);

/* The answer to the next row. On failure says why on standard error and returns false. The answer's text lives until
 * corpus_outside_end. */
bool corpus_outside_next(struct corpus_outside *outside, struct corpus_answer *answer);

void corpus_outside_end(struct corpus_outside *outside);

#endif
