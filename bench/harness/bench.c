/* bench.c: options, rounds and statistics of every program in bench/. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "report.h"

/* With --quick no round begins later than this after the start: a slow machine gets fewer rounds, not more time. */
#define QUICK_SECONDS 12u
#define NANOSECONDS 1000000000u
/* A batch that was disturbed is measured again so often. */
#define DISTURBED_MAX 20u
#define ROUNDS_MAX 1000000u
#define NOTES_MAX 32
#define SKIPS_MAX 32

struct options {
    unsigned rounds;
    bool quick;
    bool json;
    /* Where the JSON goes; NULL is standard output. */
    const char *file;
    bool help;
};

static const char *program = "bench";
static struct note notes[NOTES_MAX];
static size_t note_count;
static struct {
    const char *variant, *why;
} skips[SKIPS_MAX];
static size_t skip_count;

_Noreturn void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void bench_skip(const char *variant, const char *why)
{
    if (skip_count == SKIPS_MAX)
        bench_fail("more than %d variants left out", SKIPS_MAX);
    skips[skip_count].variant = variant;
    skips[skip_count++].why = why;
}

void bench_note(const char *name, double value, const char *unit)
{
    if (note_count == NOTES_MAX)
        bench_fail("more than %d notes", NOTES_MAX);
    notes[note_count++] = (struct note){name, value, unit};
}

static uint64_t nanoseconds_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * NANOSECONDS + (uint64_t)time->tv_usec * 1000;
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    struct rusage used;
    if (clock == BENCH_CLOCK_CHILDREN) {
        getrusage(RUSAGE_CHILDREN, &used);
        return nanoseconds_of(&used.ru_utime) + nanoseconds_of(&used.ru_stime);
    }
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

uint64_t bench_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* To the last processor that we may use: the first is where most systems serve their interrupts. */
static int pin(void)
{
    cpu_set_t allowed;
    unsigned last = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        bench_fail("sched_getaffinity: %s", strerror(errno));
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed))
            last = i;
    CPU_ZERO(&allowed);
    CPU_SET(last, &allowed);
    if (sched_setaffinity(0, sizeof allowed, &allowed) != 0)
        bench_fail("sched_setaffinity to processor %u: %s", last, strerror(errno));
    return (int)last;
}

static const char *why_skipped(const char *variant)
{
    for (size_t i = 0; i < skip_count; i++)
        if (strcmp(skips[i].variant, variant) == 0)
            return skips[i].why;
    return NULL;
}

static size_t variant_number(const struct bench_suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->variant_count; i++)
        if (strcmp(suite->variants[i].name, name) == 0)
            return i;
    bench_fail("a ratio names the variant %s, which is not there", name);
}

/* Nanoseconds an operation, of one batch. */
static double measure_once(const struct bench_suite *suite, const struct bench_variant *variant)
{
    if (variant->measured)
        return variant->measured(variant);
    if (variant->prepare)
        variant->prepare(variant);
    if (suite->warm_up)
        variant->run(variant, suite->warm_up);
    uint64_t start = read_clock(suite->clock);
    variant->run(variant, suite->operations);
    uint64_t end = read_clock(suite->clock);
    if (variant->finish)
        variant->finish(variant);
    return (double)(end - start) / suite->operations;
}

static double measure(const struct bench_suite *suite, const struct bench_variant *variant)
{
    double time = measure_once(suite, variant);
    for (unsigned i = 0; i < DISTURBED_MAX && suite->disturbed && suite->disturbed(); i++)
        time = measure_once(suite, variant);
    return time;
}

/* Samples stand variant by variant, `capacity` apart. */
static void run_round(const struct bench_suite *suite, unsigned round, unsigned capacity, double *samples)
{
    size_t count = suite->variant_count;
    for (size_t i = 0; i < count; i++) {
        size_t place = round % 2 ? count - 1 - i : i;
        size_t number = (place + round / 2) % count;
        if (!why_skipped(suite->variants[number].name))
            samples[number * capacity + round] = measure(suite, &suite->variants[number]);
    }
}

static unsigned run_rounds(const struct bench_suite *suite, const struct options *options, uint64_t started,
                           double *samples)
{
    unsigned round = 0;
    while (round < options->rounds) {
        run_round(suite, round, options->rounds, samples);
        round++;
        if (options->quick && bench_clock() - started > (uint64_t)QUICK_SECONDS * NANOSECONDS)
            break;
    }
    return round;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Between the two samples nearest to the place, by distance. */
static double percentile(const double *sorted, unsigned count, double part)
{
    double place = part * (count - 1);
    unsigned below = (unsigned)place;
    unsigned above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/* Sorts the samples. */
static struct spread spread_of(double *samples, unsigned count)
{
    qsort(samples, count, sizeof *samples, compare);
    return (struct spread){percentile(samples, count, 0.5), percentile(samples, count, 0.1),
                           percentile(samples, count, 0.9)};
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        bench_fail("there is no memory for %zu figures", count);
    return memory;
}

/* Before variant_figures, which takes the samples out of their order. */
static void ratio_figures(const struct report *report, const double *samples, unsigned capacity, struct figure *figures)
{
    unsigned rounds = report->rounds;
    double *values = allocate(rounds, sizeof *values);
    for (size_t i = 0; i < report->quotient_count; i++) {
        const struct quotient *of_four = &report->quotients[i];
        const char *const names[] = {of_four->variant, of_four->base, of_four->other_base, of_four->other_variant};
        for (unsigned round = 0; round < rounds; round++)
            values[round] = 1;
        for (size_t k = 0; k < 4 && names[k] && !figures[i].skipped; k++) {
            const double *of = samples + variant_number(report->suite, names[k]) * capacity;
            figures[i].skipped = why_skipped(names[k]);
            for (unsigned round = 0; round < rounds; round++)
                values[round] *= k % 2 ? 1 / of[round] : of[round];
        }
        if (!figures[i].skipped)
            figures[i].spread = spread_of(values, rounds);
    }
    free(values);
}

static void variant_figures(const struct bench_suite *suite, double *samples, unsigned capacity, unsigned rounds,
                            struct figure *figures)
{
    for (size_t i = 0; i < suite->variant_count; i++) {
        figures[i].skipped = why_skipped(suite->variants[i].name);
        if (!figures[i].skipped)
            figures[i].spread = spread_of(samples + i * capacity, rounds);
    }
}

static double median_of(const struct report *report, const char *variant)
{
    return report->variants[variant_number(report->suite, variant)].spread.median;
}

static void set_quotients_of_medians(const struct report *report, struct figure *ratios)
{
    for (size_t i = 0; i < report->quotient_count; i++) {
        const struct quotient *of_four = &report->quotients[i];
        if (ratios[i].skipped)
            continue;
        ratios[i].of_medians = median_of(report, of_four->variant) / median_of(report, of_four->base);
        if (of_four->other_variant)
            ratios[i].of_medians *= median_of(report, of_four->other_base) / median_of(report, of_four->other_variant);
    }
}

static size_t count_quotients(const struct bench_suite *suite)
{
    return suite->ratio_count + suite->comparison_count + suite->extreme_count;
}

/* The ratios first, then the comparisons, then the extremes, of which only the names are known yet. */
static struct quotient *list_quotients(const struct bench_suite *suite)
{
    struct quotient *list = allocate(count_quotients(suite), sizeof *list);
    for (size_t i = 0; i < suite->ratio_count; i++)
        list[i] = (struct quotient){
            .name = suite->ratios[i].name, .variant = suite->ratios[i].variant, .base = suite->ratios[i].base};
    for (size_t i = 0; i < suite->comparison_count; i++) {
        const struct bench_comparison *from = &suite->comparisons[i];
        list[suite->ratio_count + i] = (struct quotient){.name = from->name,
                                                         .variant = from->variant,
                                                         .base = from->base,
                                                         .other_variant = from->other_variant,
                                                         .other_base = from->other_base};
    }
    for (size_t i = 0; i < suite->extreme_count; i++)
        list[suite->ratio_count + suite->comparison_count + i].name = suite->extremes[i].name;
    return list;
}

static size_t ratio_number(const struct bench_suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->ratio_count; i++)
        if (strcmp(suite->ratios[i].name, name) == 0)
            return i;
    bench_fail("an extreme names the ratio %s, which is not there", name);
}

/* The ratio that is the extreme, the first where all were skipped. */
static size_t find_extreme(const struct bench_suite *suite, const struct bench_extreme *extreme,
                           const struct figure *ratios)
{
    size_t found = ratio_number(suite, extreme->ratios[0]);
    for (size_t i = 1; i < extreme->ratio_count; i++) {
        size_t number = ratio_number(suite, extreme->ratios[i]);
        double median = ratios[number].spread.median, best = ratios[found].spread.median;
        if (!ratios[number].skipped &&
            (ratios[found].skipped || (extreme->end == BENCH_GREATEST ? median > best : median < best)))
            found = number;
    }
    return found;
}

/* An extreme is printed as the ratio that it is. */
static void extreme_figures(const struct bench_suite *suite, struct quotient *quotients, struct figure *ratios)
{
    for (size_t i = 0; i < suite->extreme_count; i++) {
        size_t found = find_extreme(suite, &suite->extremes[i], ratios);
        size_t to = suite->ratio_count + suite->comparison_count + i;
        ratios[to] = ratios[found];
        quotients[to].variant = quotients[found].variant;
        quotients[to].base = quotients[found].base;
    }
}

/* The JSON to its file or to standard output, which it then has for itself: the RATIO lines go to standard error. */
static void tell(const struct report *report, const struct options *options)
{
    bool alone = options->json && !options->file;
    if (options->json) {
        FILE *to = options->file ? fopen(options->file, "w") : stdout;
        if (!to)
            bench_fail("cannot write %s: %s", options->file, strerror(errno));
        if (!report_json(to, report) || (options->file && fclose(to) != 0))
            bench_fail("cannot write the JSON: %s", strerror(errno));
    }
    if (!alone)
        report_tables(stdout, report);
    report_ratios(alone ? stderr : stdout, report);
}

static bool is_quick;

bool bench_is_quick(void)
{
    return is_quick;
}

static void run_suite(const struct bench_suite *suite, const struct options *options)
{
    is_quick = options->quick;
    uint64_t started = bench_clock();
    double *samples = allocate(suite->variant_count * options->rounds, sizeof *samples);
    struct figure *variants = allocate(suite->variant_count, sizeof *variants);
    struct quotient *quotients = list_quotients(suite);
    struct figure *ratios = allocate(count_quotients(suite), sizeof *ratios);
    struct report report = {.suite = suite, .variants = variants, .ratios = ratios, .notes = notes};
    report.quotients = quotients;
    /* The extremes come when the ratios are known. */
    report.quotient_count = suite->ratio_count + suite->comparison_count;
    report.quick = options->quick;
    report.processor = pin();
    if (suite->setup)
        suite->setup();
    report.rounds = run_rounds(suite, options, started, samples);
    if (suite->teardown)
        suite->teardown();
    report.note_count = note_count;
    ratio_figures(&report, samples, options->rounds, ratios);
    variant_figures(suite, samples, options->rounds, report.rounds, variants);
    set_quotients_of_medians(&report, ratios);
    extreme_figures(suite, quotients, ratios);
    report.quotient_count = count_quotients(suite);
    tell(&report, options);
    free(samples);
    free(variants);
    free(ratios);
    free(quotients);
}

static void usage(FILE *to, const struct bench_suite *suite)
{
    fprintf(to,
            "usage: %s [--quick] [--rounds N] [--json[=FILE]]\n"
            "%s\n"
            "  --quick       %u rounds in place of %u, and an end within 20 seconds\n"
            "  --rounds N    so many rounds, 1 to %u\n"
            "  --json        one JSON document on standard output, the RATIO lines on standard error\n"
            "  --json=FILE   one JSON document to FILE, tables and RATIO lines on standard output\n",
            suite->name, suite->title, suite->quick_rounds, suite->rounds, ROUNDS_MAX);
}

static bool parse_rounds(const char *text, unsigned *rounds)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value == 0 || value > ROUNDS_MAX)
        return false;
    *rounds = (unsigned)value;
    return true;
}

static bool parse(int count, char **arguments, struct options *options)
{
    static const struct option known[] = {
        {"quick", no_argument, NULL, 'q'},
        {"rounds", required_argument, NULL, 'r'},
        {"json", optional_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (letter) {
        case 'q':
            options->quick = true;
            break;
        case 'r':
            if (!parse_rounds(optarg, &options->rounds)) {
                fprintf(stderr, "%s: --rounds %s: not a number from 1 to %u\n", program, optarg, ROUNDS_MAX);
                return false;
            }
            break;
        case 'j':
            options->json = true;
            options->file = optarg;
            break;
        case 'h':
            options->help = true;
            break;
        default:
            return false;
        }
    }
    if (optind < count)
        fprintf(stderr, "%s: %s: an argument that means nothing here\n", program, arguments[optind]);
    return optind == count;
}

int bench_main(int count, char **arguments, const struct bench_suite *suite)
{
    struct options options = {0};
    program = suite->name;
    if (!parse(count, arguments, &options)) {
        usage(stderr, suite);
        return 2;
    }
    if (options.help) {
        usage(stdout, suite);
        return 0;
    }
    if (!options.rounds)
        options.rounds = options.quick ? suite->quick_rounds : suite->rounds;
    run_suite(suite, &options);
    return 0;
}
