/* report.h: what a program in bench/ measured, and how it is printed. */
#ifndef SEGUE_BENCH_REPORT_H
#define SEGUE_BENCH_REPORT_H

#include "bench.h"

#include <stdio.h>

/* The middle of a set of samples, and the tenth and ninetieth percentile as its spread. */
struct spread {
    double median, p10, p90;
};

/* A variant or a ratio that was not measured has a reason in `skipped`, and no figures. */
struct figure {
    struct spread spread;
    const char *skipped;
    /* Of a ratio: the quotient of the two medians. */
    double of_medians;
};

/* A ratio or a comparison: the first and the fourth of these variants over the second and the third; the last two are
 * NULL for a ratio. */
struct quotient {
    const char *name;
    const char *variant, *base, *other_variant, *other_base;
};

struct note {
    const char *name;
    double value;
    const char *unit;
};

struct report {
    const struct bench_suite *suite;
    /* One for each of the suite's variants, in nanoseconds an operation, and one for each quotient. */
    const struct figure *variants;
    const struct figure *ratios;
    const struct quotient *quotients;
    size_t quotient_count;
    const struct note *notes;
    size_t note_count;
    unsigned rounds;
    int processor;
    bool quick;
};

/* Aligned tables for a person; bench/harness/plots.sh reads them too. */
void report_tables(FILE *to, const struct report *report);

/* One JSON document. False when it cannot be written; errno says why. */
bool report_json(FILE *to, const struct report *report);

/* The contract's last lines: "RATIO name value", or "SKIP name why". */
void report_ratios(FILE *to, const struct report *report);

#endif
