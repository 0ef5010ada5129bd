/* measure.c: each run begins with an empty heap. The first one is measured on its own: pages are touched, and code is
 * met, for the first time. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blocks.h"
#include "examples/console/console.h"
#include "program.h"

#define RUNS_LEAST 3u
#define SECONDS_MOST 0.33

const char *measure_way_name(enum watched_way way)
{
    static const char *const names[WATCHED_WAYS] = {
        [WATCHED_NOT] = "plain",       [WATCHED_STEPPED] = "stepped", [WATCHED_HOT] = "hot",
        [WATCHED_COUNTED] = "counted", [WATCHED_POLICY] = "policy",
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
    return runs >= MEASURE_RUNS_MOST || (runs >= RUNS_LEAST && seconds > SECONDS_MOST);
}

/* Compares what a run printed with what it should. */
static void judge(struct measure *measure, struct output *output)
{
    if (!measure->expected) {
        measure->output = *output;
        measure->expected = &measure->output;
        return;
    }
    if (!measure->differs && !output_is_equal(measure->expected, output)) {
        measure->differs = true;
        measure->size = output->size;
        measure->difference = output_difference(measure->expected, output);
    }
    output_free(output);
}

/* All runs, from one place: Lua seeds its hashes also with the address of a local variable. */
static void run_all(struct measure *measure)
{
    double times[MEASURE_RUNS_MOST], seconds = 0;
    unsigned count = 0;
    do {
        struct output output = {.size = 0};
        times[count] = run_once(measure, &output, count ? &measure->in_last : &measure->in_first);
        seconds += times[count++];
        judge(measure, &output);
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
    struct footprint before = footprint_read(watched_mapping());
    check(watched_begin(measure->way, measure->patience), "the heap cannot be closed");
    run_all(measure);
    measure->sites = watched_sites();
    if (measure->way == WATCHED_STEPPED || measure->way == WATCHED_POLICY)
        measure->opened = opened_read();
    check(watched_end(), "the heap cannot be opened");
    blocks_end();
    struct footprint after = footprint_read(watched_mapping());
    measure->footprint =
        (struct footprint){.mappings = after.mappings - before.mappings, .shared = after.shared - before.shared};
}

/* What the child has found out, from the other end of the pipe. */
static void receive(struct measure *measure, int from, pid_t child)
{
    struct measure found;
    int status;
    ssize_t size = read(from, &found, sizeof found);
    if (waitpid(child, &status, 0) != child)
        console_die(1, "a child is lost: %m");
    if (WIFSIGNALED(status))
        console_die(1, "the program dies in the way %s: %s", measure_way_name(measure->way),
                    strsignal(WTERMSIG(status)));
    if (status != 0 || size != sizeof found)
        exit(EXIT_FAILURE);
    found.expected = measure->expected;
    found.output = measure->output;
    *measure = found;
}

void measure_way_apart(struct measure *measure)
{
    int ends[2];
    size_t used = program.used ? program.used() : 0;
    /* The memory is shared with the child. */
    char *kept = malloc(used ? used : 1);
    if (!kept || pipe(ends) != 0)
        console_die(1, "no memory, or no pipe");
    memcpy(kept, watched_mapping()->alias, used);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        console_die(1, "no child: %m");
    if (child == 0) {
        measure_way(measure);
        _exit(write(ends[1], measure, sizeof *measure) != sizeof *measure);
    }
    close(ends[1]);
    receive(measure, ends[0], child);
    close(ends[0]);
    memcpy(watched_mapping()->alias, kept, used);
    free(kept);
}
