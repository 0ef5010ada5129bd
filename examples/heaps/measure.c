/* measure.c: each run begins with an empty heap. The first one is measured on its own: pages are touched, and code is
 * met, for the first time. */
#include "measure.h"

#include <stdlib.h>
#include <time.h>

#include "blocks.h"
#include "examples/console.h"
#include "program.h"

#define RUNS_LEAST 3u
#define RUNS_MOST MEASURE_RUNS_MOST
#define SECONDS_MOST 0.33

const char *measure_way_name(enum watched_way way)
{
    static const char *const names[WATCHED_WAYS] = {
        [WATCHED_NOT] = "plain",
        [WATCHED_STEPPED] = "stepped",
    };
    return names[way];
}

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void check(enum segue_status status, const char *what)
{
    if (status != SEGUE_OK)
        console_die(1, "%s: %s", what, segue_status_text(status));
}

/* Runs once, and returns the CPU time. */
static double run_once(struct measure *measure, struct output *output, struct watched_counts *seen)
{
    bool is_plain = measure->way == WATCHED_NOT;
    blocks_begin(watched_mapping());
    struct watched_counts before = watched_read();
    double start = cpu_seconds();
    program.run(measure->scale, is_plain ? NULL : blocks_allocate, output);
    double seconds = cpu_seconds() - start;
    *seen = watched_since(&before);
    measure->pages = blocks_pages();
    if (output->error[0])
        console_die(1, "the program fails %s: %s",
                    is_plain ? "without any protection" : "with its heap on closed pages", output->error);
    return seconds;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static bool is_enough(const struct measure *measure, unsigned runs, double seconds)
{
    if (measure->runs)
        return runs >= measure->runs;
    return runs >= RUNS_MOST || (runs >= RUNS_LEAST && seconds > SECONDS_MOST);
}

/* All runs, from one place: Lua seeds its hashes also with the address of a local variable. */
static void run_all(struct measure *measure)
{
    double times[RUNS_MOST], seconds = 0;
    unsigned count = 0;
    do {
        struct output output = {.size = 0};
        times[count] = run_once(measure, &output, count ? &measure->in_last : &measure->in_first);
        seconds += times[count];
        if (count++ == 0) {
            measure->output = output;
            continue;
        }
        measure->is_steady &= output_is_equal(&measure->output, &output);
        output_free(&output);
    } while (!is_enough(measure, count, seconds));
    measure->runs = count;
    measure->first = times[0];
    if (count == 1)
        measure->in_last = measure->in_first;
    qsort(times + 1, count - 1, sizeof *times, compare);
    measure->further = count > 1 ? times[1 + (count - 1) / 2] : 0;
}

void measure_way(struct measure *measure)
{
    measure->is_steady = true;
    check(watched_begin(measure->way, measure->patience), "the heap cannot be closed");
    run_all(measure);
    if (measure->way == WATCHED_STEPPED)
        measure->opened = opened_read();
    check(watched_end(), "the heap cannot be opened");
    blocks_end();
}
