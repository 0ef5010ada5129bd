/* bench.h: the harness that every program in bench/ is made of. A program is a table of variants and a table of
 * ratios; the contract of its options and of what it prints is kept here, once (docs/bench.md).
 *
 * How it measures: pinned to one processor, in rounds. Each round runs one short batch of every variant, beginning with
 * another one each time, every second round backwards; so what drifts (clock, neighbours, temperature) drifts for all.
 * A variant's figure is the median of its batches. A ratio is the median of the quotients of the two batches of the
 * same round, which a slow stretch of the machine moves less than it moves a quotient of two medians; that one is in
 * the JSON as well. */
#ifndef SEGUE_BENCH_H
#define SEGUE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The number of elements of an array. */
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* For bench_suite.clock: the processor time, user's and system's, of children that have been waited for. */
#define BENCH_CLOCK_CHILDREN ((clockid_t)-1000)

/* One thing that is measured. */
struct bench_variant {
    /* A word, lower case, for tables, plots and ratios. */
    const char *name;
    /* What one operation is, for a person. */
    const char *what;
    /* Before and after each batch, outside the time; may be NULL. */
    void (*prepare)(const struct bench_variant *variant);
    void (*finish)(const struct bench_variant *variant);
    /* Does that many operations. First called for a few that are not timed, to warm up after `prepare`. */
    void (*run)(const struct bench_variant *variant, unsigned operations);
    /* The variant's own. */
    void *context;
    /* In place of the three above and of the clock, for what another process measures or counts: returns the
     * nanoseconds of a batch, or how much of `unit` it is. */
    double (*measured)(const struct bench_variant *variant);
    /* NULL: nanoseconds. */
    const char *unit;
};

/* A figure of the contract: the time of `variant` divided by that of `base`. */
struct bench_ratio {
    const char *name;
    const char *variant;
    const char *base;
};

/* Another: one such quotient divided by the same of two others, all four batches of one round. */
struct bench_comparison {
    const char *name;
    const char *variant;
    const char *base;
    const char *other_variant;
    const char *other_base;
};

/* Another: the greatest or the least of those ratios, by their medians. */
enum bench_end { BENCH_GREATEST, BENCH_LEAST };
struct bench_extreme {
    const char *name;
    enum bench_end end;
    const char *const *ratios;
    size_t ratio_count;
};

/* A program. */
struct bench_suite {
    const char *name;
    const char *title;
    /* CLOCK_MONOTONIC, which also counts what the kernel and the hypervisor do on other clocks' accounts; or
     * CLOCK_THREAD_CPUTIME_ID or CLOCK_PROCESS_CPUTIME_ID for batches so long that other programs come between most of
     * them. */
    clockid_t clock;
    /* Operations in a batch, timed and before that. */
    unsigned operations;
    unsigned warm_up;
    /* Rounds by default, and with --quick. */
    unsigned rounds;
    unsigned quick_rounds;
    const struct bench_variant *variants;
    size_t variant_count;
    const struct bench_ratio *ratios;
    size_t ratio_count;
    /* May be none. */
    const struct bench_comparison *comparisons;
    size_t comparison_count;
    const struct bench_extreme *extremes;
    size_t extreme_count;
    /* After each batch: whether something came between, so that it must be measured again; may be NULL. A batch that is
     * disturbed again and again counts in the end. */
    bool (*disturbed)(void);
    /* Before the first and after the last round, on the pinned thread. */
    void (*setup)(void);
    void (*teardown)(void);
};

/* What a program defines; main (main.c) runs it. One that must do something before has a main of its own, and calls
 * bench_main itself. */
extern const struct bench_suite bench_suite;

/* The program: returns what main returns, 0, or 2 for options that make no sense. */
int bench_main(int count, char **arguments, const struct bench_suite *suite);

/* For setup, teardown and the variants. */

/* Ends the program with status 1 and a message, printf-like, on standard error. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Leaves a variant out, with its ratios, because this machine cannot run it. For setup. `variant` and `why` are kept.
 */
void bench_skip(const char *variant, const char *why);

/* Adds a figure that belongs to no variant to the report: what a setup cost, say. The strings are kept. */
void bench_note(const char *name, double value, const char *unit);

/* Whether --quick was given. */
bool bench_is_quick(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_clock(void);

#endif
