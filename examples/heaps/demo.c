/* demo.c: main of the heap demos. The program runs in each way, and what it prints must be the same; then a table shows
 * side by side what was seen and what it cost. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/console/console.h"
#include "measure.h"
#include "program.h"

#define REFUSALS_SHOWN 8
#define COLUMNS_MOST 8

struct arguments {
    const char *path;
    /* Which ways, in this order. */
    enum watched_way ways[COLUMNS_MOST];
    size_t way_count;
    /* 0: the program's own. */
    uint64_t scale;
    unsigned patience, runs;
    bool is_quick, shows_output, shows_figures;
};

static const enum watched_way hot_ways[] = {WATCHED_NOT, WATCHED_STEPPED, WATCHED_HOT, WATCHED_COUNTED};

/* ---- Arguments. */

static enum watched_way read_way(const char *name, size_t length)
{
    for (enum watched_way way = 0; way < WATCHED_WAYS; way++)
        if (strlen(measure_way_name(way)) == length && strncmp(measure_way_name(way), name, length) == 0)
            return way;
    console_die(2, "'%.*s' is no way; --help lists them", (int)length, name);
}

static bool has_way(const struct arguments *arguments, enum watched_way way)
{
    for (size_t i = 0; i < arguments->way_count; i++)
        if (arguments->ways[i] == way)
            return true;
    return false;
}

/* Names with commas between them. */
static void read_ways(const char *text, struct arguments *arguments)
{
    arguments->way_count = 0;
    for (const char *name = text; name; name = strchr(name, ',') ? strchr(name, ',') + 1 : NULL) {
        if (arguments->way_count == COLUMNS_MOST)
            console_die(2, "--ways takes at most %d", COLUMNS_MOST);
        arguments->ways[arguments->way_count++] = read_way(name, strcspn(name, ","));
    }
    if (has_way(arguments, WATCHED_STEPPED) && arguments->ways[0] != WATCHED_NOT)
        console_die(2, "what is stepped is compared with what is not: give --ways plain,...");
}

static void set_ways(struct arguments *arguments, size_t count)
{
    memcpy(arguments->ways, hot_ways, count * sizeof *hot_ways);
    arguments->way_count = count;
}

static void print_help(void)
{
    printf("usage: %s [--hot|--step] [--quick] [--%s N] [--ways WAY,...] [--runs N] [--patience N] [--output] "
           "[--figures]%s%s%s\n"
           "  --hot         plain, stepped, and at hot sites: the default\n"
           "  --step        plain and stepped\n"
           "  --quick       %s: %s in place of %s\n"
           "  --%-11s so much, 1 to %s\n"
           "  --ways WAY,.. which columns: plain",
           program_invocation_short_name, program.scale_option, program.operand ? " [" : "",
           program.operand ? program.operand : "", program.operand ? "]" : "", program.scale_name,
           console_grouped(program.quick_scale).text, console_grouped(program.scale).text, program.scale_option,
           console_grouped(program.scale_max).text);
    for (enum watched_way way = 1; way < WATCHED_WAYS; way++)
        printf(", %s", measure_way_name(way));
    printf("\n"
           "  --runs N      runs in each way, 1 to %u; without it, a third of a second, and one that is stepped\n"
           "  --patience N  a page that had to be opened is closed at the latest N faults after, 1 to %u (1)\n"
           "  --output      shows what the program printed\n"
           "  --figures     in place of the table a line for each way\n",
           MEASURE_RUNS_MOST, PATIENCE_MAX);
    if (program.operand)
        printf("  %-13s in place of the one that is built in; what it prints must not depend on time, on\n"
               "                addresses, or on the order of a table's keys\n",
               program.operand);
    exit(console_end(EXIT_SUCCESS));
}

static bool is_scale_option(const char *argument)
{
    return strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, program.scale_option) == 0;
}

/* Reads what stands at `argument`. Returns how many it has read. */
static int read_argument(char **argument, struct arguments *arguments)
{
    if (is_scale_option(*argument))
        arguments->scale = console_read_number(*argument, argument[1], 1, program.scale_max);
    else if (strcmp(*argument, "--patience") == 0)
        arguments->patience = (unsigned)console_read_number(*argument, argument[1], 1, PATIENCE_MAX);
    else if (strcmp(*argument, "--runs") == 0)
        arguments->runs = (unsigned)console_read_number(*argument, argument[1], 1, MEASURE_RUNS_MOST);
    else if (strcmp(*argument, "--ways") == 0)
        read_ways(argument[1] ? argument[1] : "", arguments);
    else
        return 0;
    return 2;
}

static void read_flag(const char *argument, struct arguments *arguments)
{
    if (strcmp(argument, "--help") == 0)
        print_help();
    else if (strcmp(argument, "--hot") == 0)
        set_ways(arguments, sizeof hot_ways / sizeof *hot_ways);
    else if (strcmp(argument, "--step") == 0)
        set_ways(arguments, 2);
    else if (strcmp(argument, "--quick") == 0)
        arguments->is_quick = true;
    else if (strcmp(argument, "--output") == 0)
        arguments->shows_output = true;
    else if (strcmp(argument, "--figures") == 0)
        arguments->shows_figures = true;
    else if (*argument == '-' || !program.operand)
        console_die(2, "'%s' is no option; --help lists them", argument);
    else if (arguments->path)
        console_die(2, "one program at a time: '%s' or '%s'", arguments->path, argument);
    else
        arguments->path = argument;
}

static void read_arguments(char **argument, struct arguments *arguments)
{
    while (*argument) {
        int read = read_argument(argument, arguments);
        if (read == 0)
            read_flag(*argument, arguments);
        argument += read ? read : 1;
    }
}

/* ---- What is measured. */

/* All measures, in the order in which they are taken. A way that is stepped by signals may do less than the others:
 * then there are others of that scale, to compare with, which have no column. */
static struct {
    struct measure all[2 * COLUMNS_MOST + 2];
    size_t count;
    const struct measure *columns[COLUMNS_MOST];
    size_t column_count;
    /* The same work from the same state, stepped and counted at hot sites; NULL if it was not asked for. */
    const struct measure *stepped, *counted;
} measured;

static void write_live_line(char *line, size_t size)
{
    snprintf(line, size, "%s on closed pages: %s accesses stepped", program.name,
             console_grouped(opened_read().stepped).text);
}

static struct measure *find_measure(enum watched_way way, uint64_t scale)
{
    for (size_t i = 0; i < measured.count; i++)
        if (measured.all[i].way == way && measured.all[i].scale == scale)
            return &measured.all[i];
    return NULL;
}

static struct measure *new_measure(const struct arguments *arguments, enum watched_way way, uint64_t scale)
{
    struct measure *measure = &measured.all[measured.count++];
    const struct measure *plain = find_measure(WATCHED_NOT, scale);
    *measure = (struct measure){.way = way, .scale = scale, .patience = arguments->patience, .runs = arguments->runs};
    if (plain && plain != measure)
        measure->expected = &plain->output;
    return measure;
}

/* A watched way is measured in a child, if there is something to compare it with: so each starts from what the plain
 * runs left, and none meets code that another has changed. */
static const struct measure *take_measure(const struct arguments *arguments, enum watched_way way, uint64_t scale)
{
    struct measure *measure = find_measure(way, scale);
    if (measure)
        return measure;
    measure = new_measure(arguments, way, scale);
    if (way == WATCHED_STEPPED && !measure->runs)
        measure->runs = 1;
    if (measure->expected)
        measure_way_apart(measure);
    else
        measure_way(measure);
    return measure;
}

static uint64_t scale_of(const struct arguments *arguments, enum watched_way way)
{
    if (arguments->scale)
        return arguments->scale;
    uint64_t scale = arguments->is_quick ? program.quick_scale : program.scale;
    return way == WATCHED_STEPPED && scale > program.step_scale ? program.step_scale : scale;
}

static void take_measures(const struct arguments *arguments)
{
    uint64_t step_scale = scale_of(arguments, WATCHED_STEPPED);
    for (size_t i = 0; i < arguments->way_count && has_way(arguments, WATCHED_NOT); i++)
        take_measure(arguments, WATCHED_NOT, scale_of(arguments, arguments->ways[i]));
    for (size_t i = 0; i < arguments->way_count; i++) {
        enum watched_way way = arguments->ways[i];
        measured.columns[measured.column_count++] = take_measure(arguments, way, scale_of(arguments, way));
    }
    if (has_way(arguments, WATCHED_STEPPED))
        measured.stepped = take_measure(arguments, WATCHED_STEPPED, step_scale);
    if (has_way(arguments, WATCHED_STEPPED) && has_way(arguments, WATCHED_COUNTED))
        measured.counted = take_measure(arguments, WATCHED_COUNTED, step_scale);
}

/* ---- The table. */

static void print_label(const char *label)
{
    printf("  %-34s", label);
}

typedef uint64_t read_number(const struct measure *measure);
typedef double read_seconds(const struct measure *measure);

/* A row of numbers; `watched` leaves the plain way out, of which nothing is seen. */
static void print_numbers(const char *label, read_number *read, bool watched)
{
    print_label(label);
    for (size_t i = 0; i < measured.column_count; i++) {
        const struct measure *measure = measured.columns[i];
        bool is_left_out = watched && measure->way == WATCHED_NOT;
        printf(" %14s", is_left_out ? "-" : console_grouped(read(measure)).text);
    }
    printf("\n");
}

/* A row of times in milliseconds; 0 is left out. */
static void print_times(const char *label, read_seconds *read)
{
    print_label(label);
    for (size_t i = 0; i < measured.column_count; i++) {
        double seconds = read(measured.columns[i]);
        if (seconds > 0)
            printf(" %11.2f ms", seconds * 1e3);
        else
            printf(" %14s", "-");
    }
    printf("\n");
}

static uint64_t read_scale(const struct measure *measure)
{
    return measure->scale;
}

static uint64_t read_faults(const struct measure *measure)
{
    return measure->in_first.faults;
}

static uint64_t read_last_faults(const struct measure *measure)
{
    return measure->in_last.faults;
}

static uint64_t read_counted(const struct measure *measure)
{
    return measure->in_last.counted;
}

static uint64_t read_hot(const struct measure *measure)
{
    return measure->sites.hot;
}

static uint64_t read_refused(const struct measure *measure)
{
    return measure->sites.refused;
}

static uint64_t read_mappings(const struct measure *measure)
{
    return measure->footprint.mappings;
}

static uint64_t read_kibibytes(const struct measure *measure)
{
    return measure->footprint.shared >> 10;
}

static uint64_t read_opened(const struct measure *measure)
{
    return measure->opened.pages_opened;
}

static uint64_t read_closed(const struct measure *measure)
{
    return measure->opened.pages_closed;
}

static double read_first(const struct measure *measure)
{
    return measure->first;
}

static double read_further(const struct measure *measure)
{
    return measure->further;
}

/* What one run costs once all is warm. */
static double steady(const struct measure *measure)
{
    return measure->further > 0 ? measure->further : measure->first;
}

static void print_factors(void)
{
    print_label("times the plain way's");
    for (size_t i = 0; i < measured.column_count; i++) {
        const struct measure *measure = measured.columns[i];
        const struct measure *plain = find_measure(WATCHED_NOT, measure->scale);
        if (plain)
            printf(" %14.2f", steady(measure) / steady(plain));
        else
            printf(" %14s", "-");
    }
    printf("\n");
}

static void print_refusals(void)
{
    struct segue_refusal refusals[REFUSALS_SHOWN];
    size_t count = 0;
    segue_refusals_read(refusals, REFUSALS_SHOWN, &count);
    if (count)
        printf("  instructions that could not be stepped, the most frequent of %zu kinds\n", count);
    for (size_t i = 0; i < count && i < REFUSALS_SHOWN; i++)
        printf("    %-32s %14s\n", segue_mnemonic_name(refusals[i].mnemonic), console_grouped(refusals[i].count).text);
}

static void print_table(void)
{
    char what[256];
    program.describe(what, sizeof what, measured.columns[0]->scale);
    printf("%s heap: %s, with its whole heap on closed pages\n", program.name, what);
    print_label("");
    for (size_t i = 0; i < measured.column_count; i++)
        printf(" %14s", measure_way_name(measured.columns[i]->way));
    printf("\n");
    print_numbers(program.scale_name, read_scale, false);
    print_numbers("faults in the first run", read_faults, true);
    print_numbers("faults in the last run", read_last_faults, true);
    print_numbers("accesses at hot sites, counted", read_counted, true);
    print_numbers("hot sites", read_hot, true);
    print_numbers("sites that cannot be", read_refused, true);
    print_numbers("KiB of their bodies", read_kibibytes, true);
    print_numbers("mappings added", read_mappings, true);
    print_numbers("pages opened", read_opened, true);
    print_numbers("pages closed again", read_closed, true);
    print_times("CPU time of the first run", read_first);
    print_times("CPU time of a further run", read_further);
    print_factors();
    print_refusals();
}

/* For programs: one line for each column. */
static void print_figures(void)
{
    for (size_t i = 0; i < measured.column_count; i++) {
        const struct measure *measure = measured.columns[i];
        printf("%s %" PRIu64 " first %.0f further %.0f faults %" PRIu64 " %" PRIu64 " accesses %" PRIu64 " %" PRIu64
               " sites %" PRIu64 " %" PRIu64 " bytes %" PRIu64 " mappings %" PRIu64 "\n",
               measure_way_name(measure->way), measure->scale, measure->first * 1e9, measure->further * 1e9,
               measure->in_first.faults, measure->in_last.faults, measure->in_first.counted, measure->in_last.counted,
               measure->sites.hot, measure->sites.refused, measure->footprint.shared, measure->footprint.mappings);
    }
}

/* ---- The verdict. */

/* Why a measure shows nothing or something wrong; NULL if all is as it should be. */
static const char *find_failure(const struct measure *measure)
{
    static char text[160];
    if (measure->differs) {
        snprintf(text, sizeof text, "the outputs differ, first at byte %zu of %zu and %zu", measure->difference,
                 measure->expected->size, measure->size);
        return text;
    }
    if (measure->way == WATCHED_NOT)
        return NULL;
    if (measure->in_first.faults == 0)
        return "nothing faulted, so nothing was shown";
    if (measure->opened.opened > measure->opened.stepped)
        return "less than half of the faults were stepped";
    return NULL;
}

static bool judge(void)
{
    for (size_t i = 0; i < measured.count; i++) {
        const char *failure = find_failure(&measured.all[i]);
        if (failure) {
            printf("  FAILED, %s: %s\n", measure_way_name(measured.all[i].way), failure);
            return false;
        }
    }
    printf("  the output is the same in every way, byte for byte: %s bytes\n",
           console_grouped(measured.columns[0]->expected->size).text);
    return true;
}

/* Every access is either counted or a fault. */
static bool judge_counts(void)
{
    if (!measured.counted)
        return true;
    const struct watched_counts *counts = &measured.counted->in_first;
    uint64_t stepped = measured.stepped->in_first.stepped, sum = counts->counted + counts->stepped;
    bool is_exact = sum == stepped;
    printf("  %sfrom the same state: %s accesses stepped; %s counted at hot sites, and %s stepped: %s\n",
           is_exact ? "" : "FAILED: ", console_grouped(stepped).text, console_grouped(counts->counted).text,
           console_grouped(counts->stepped).text, console_grouped(sum).text);
    return is_exact;
}

/* What stepping less than the others do means. */
static void print_scaling(void)
{
    const struct measure *plain = measured.columns[0], *stepped = measured.stepped;
    if (!stepped || plain->way != WATCHED_NOT || stepped->scale == plain->scale)
        return;
    double factor = steady(stepped) / steady(find_measure(WATCHED_NOT, stepped->scale));
    printf("  stepped is scaled down: with %s, as the others, it would take some %.0f s\n",
           console_grouped(plain->scale).text, factor * steady(plain));
}

int main(int count, char **argument)
{
    struct arguments arguments = {.patience = 1};
    (void)count;
    set_ways(&arguments, sizeof hot_ways / sizeof *hot_ways);
    read_arguments(argument + 1, &arguments);
    enum segue_status status = watched_create(program.heap_size);
    if (status != SEGUE_OK)
        console_die(1, "memory cannot be watched: %s", segue_status_text(status));
    program.begin(arguments.path);
    console_live_start(write_live_line);
    take_measures(&arguments);
    console_live_stop();
    if (arguments.shows_output)
        fwrite(measured.columns[0]->expected->bytes, 1, measured.columns[0]->expected->size, stdout);
    if (arguments.shows_figures)
        print_figures();
    else
        print_table();
    bool is_good = judge() && judge_counts();
    if (is_good && !arguments.shows_figures)
        print_scaling();
    return console_end(!is_good);
}
