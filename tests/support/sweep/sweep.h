/* sweep.h: what the programs that take part in a sweep (tools/sweep) have in common: options, the form of a report that
 * tools/sweep/reduce.sh reads, and the line that tools/sweep/merge.py adds up. */
#ifndef SEGUE_TESTS_SWEEP_H
#define SEGUE_TESTS_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <segue/decode.h>

#define SWEEP_FILES_MAX 8

struct sweep_options {
    const char *program;
    /* Corpus files. */
    const char *files[SWEEP_FILES_MAX];
    unsigned file_count;
    /* States of each row, and what they come from. */
    uint64_t per_row, seed;
    /* Every row whose number is `shard` modulo `shards`. */
    uint64_t shard, shards;
    /* After so many differences it stops. */
    uint64_t reports;
    /* Where coverage.h's counts go, or NULL. */
    const char *coverage;
    /* The answer to each instruction with this mnemonic is spoilt, to see that it is noticed; 0: none is. */
    unsigned plant;
    /* hot_body's: of how many states one is stepped through; whether it fails if it has seen too little. */
    uint64_t step;
    bool sees;
    double began;
};

#define SWEEP_USAGE                                                                                                    \
    "  --rows FILE      rows of a corpus file; may be given more than once\n"                                          \
    "  --per-row N      states of each row (1)\n"                                                                      \
    "  --seed S         what the states come from (1)\n"                                                               \
    "  --shard I/N      only the I-th of N parts of the rows, I from 0\n"                                              \
    "  --reports N      how many differences are reported before it stops (10)\n"                                      \
    "  --coverage FILE  counts by window, encoding and mnemonic go there\n"                                            \
    "  --plant NAME     spoils the answer to each instruction of that name, to see that it is noticed\n"

/* Seconds of a clock that only goes on. */
double sweep_now(void);

/* Read an argument: a number; a part of a whole, I/N. */
bool sweep_parse_number(const char *text, uint64_t *number);
bool sweep_parse_shard(const char *text, uint64_t *shard, uint64_t *shards);

/* Reads the command line. False, having printed the usage or what is wrong: `*status` is then what to exit with. */
bool sweep_parse(int argc, char **argv, const char *usage, struct sweep_options *options, int *status);

/* One difference. */
void sweep_report(const struct sweep_options *options, const struct segue_insn *insn, const char *what);

/* The line of a run: how many states, and how long it took. */
void sweep_summarise(const struct sweep_options *options, uint64_t states);

#endif
