/* weak_table.c: a collector that settles one slot of a weak hash table for each lookup, beside one that must open whole
 * pages.
 *
 * A weak table's slots do not keep what they refer to alive. While the collector marks, the mutator may still look an
 * entry up, and then holds the object: the collector must learn of it, so the slots lie on closed pages. A fault
 * reports one slot. A collector that can step the load settles that slot and leaves the page closed; if the load is a
 * hot site, it does so without a signal. One that cannot has to open the page, and from then on it learns of no lookup
 * there: it must first settle every slot of the page, and while marking is under way that means to keep all of them.
 *
 * All ways run over the same heaps, the same table and the same lookups, by a mutator thread beside the collector. What
 * is alive and what is dead is found beforehand, by a walk that has nothing to do with the collector.
 *
 * SOURCES: Memory Pool System, manual, pool/awl, "Protection faults". */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "examples/console/console.h"
#include "heap.h"

/* Of the dead entries that opening pages keeps, stepping must keep at most this part. */
#define PROMISE_PERCENT 10u

static struct {
    uint64_t seed, collections, lookups;
    bool shows_figures;
} options = {.seed = 1, .collections = 100, .lookups = 2000};

static uint64_t collected;

static void count_collection(void)
{
    __atomic_fetch_add(&collected, 1, __ATOMIC_RELAXED);
}

static void write_live_line(char *line, size_t size)
{
    snprintf(line, size, "collection %s of %s  %s loads stepped  %s at hot sites  %s pages opened",
             console_grouped(__atomic_load_n(&collected, __ATOMIC_RELAXED) + 1).text,
             console_grouped(WAYS * options.collections).text,
             console_grouped(__atomic_load_n(&tallies[WAY_STEP].stepped, __ATOMIC_RELAXED)).text,
             console_grouped(__atomic_load_n(&tallies[WAY_HOT].at_hot_sites, __ATOMIC_RELAXED)).text,
             console_grouped(__atomic_load_n(&tallies[WAY_OPEN].pages_opened, __ATOMIC_RELAXED)).text);
}

/* One of a tally's counters, in a column for each way. */
static void print_row(const char *label, size_t counter)
{
    printf("  %-34s", label);
    for (enum way way = 0; way < WAYS; way++)
        printf(" %14s", console_grouped(*(const uint64_t *)(const void *)((const char *)&tallies[way] + counter)).text);
    printf("\n");
}

/* A lookup on closed pages, in nanoseconds; 0 if only one collection was made. */
static double lookup_nanoseconds(enum way way)
{
    const struct tally *tally = &tallies[way];
    return tally->lookups_timed ? tally->lookup_seconds * 1e9 / (double)tally->lookups_timed : 0;
}

static void print_times(void)
{
    printf("  %-34s", "time of one collection");
    for (enum way way = 0; way < WAYS; way++)
        printf(" %11.2f ms", tallies[way].seconds * 1e3 / (double)options.collections);
    printf("\n  %-34s", "CPU time of one lookup");
    for (enum way way = 0; way < WAYS; way++)
        printf(" %11.1f ns", lookup_nanoseconds(way));
    printf("\n");
}

static void print_summary(void)
{
    printf("weak table: %s entries, %s collections from seed %s\n", console_grouped(ENTRIES).text,
           console_grouped(options.collections).text, console_grouped(options.seed).text);
    printf("  %-34s %14s %14s %14s\n", "", "stepping", "opening pages", "hot barrier");
    print_row("lookups by the mutator", offsetof(struct tally, lookups));
    uint64_t marking = options.lookups / BATCHES * BATCHES * options.collections;
    printf("  %-34s %14s %14s %14s\n", "  of them while marking", console_grouped(marking).text,
           console_grouped(marking).text, console_grouped(marking).text);
    print_row("faults", offsetof(struct tally, faults));
    print_row("loads stepped", offsetof(struct tally, stepped));
    print_row("loads at hot sites", offsetof(struct tally, at_hot_sites));
    print_row("slots settled for loads", offsetof(struct tally, slots_settled));
    print_row("pages opened", offsetof(struct tally, pages_opened));
    print_row("entries dead at the start", offsetof(struct tally, dead));
    print_row("dead entries kept alive", offsetof(struct tally, dead_kept));
    print_row("living entries lost", offsetof(struct tally, lost));
    print_row("stale objects read", offsetof(struct tally, stale));
    print_times();
    const struct tally *step = &tallies[WAY_STEP], *open = &tallies[WAY_OPEN];
    double ratio = open->dead_kept ? (double)step->dead_kept / (double)open->dead_kept : 1.0;
    printf("  stepping kept %.4f times the dead entries that opening pages kept: %.1f %% fewer\n", ratio,
           100.0 * (1.0 - ratio));
}

/* For programs. */
static void print_figures(void)
{
    printf("stepping %.3f\nopening %.3f\nhot %.3f\n", lookup_nanoseconds(WAY_STEP), lookup_nanoseconds(WAY_OPEN),
           lookup_nanoseconds(WAY_HOT));
}

static const char *find_failure(void)
{
    const struct tally *step = &tallies[WAY_STEP], *open = &tallies[WAY_OPEN], *hot = &tallies[WAY_HOT];
    if (step->stale || open->stale || hot->stale)
        return "a slot gave an object that had been freed";
    if (step->lost || open->lost || hot->lost)
        return "an entry that was alive is gone";
    if (!step->stepped || !open->dead_kept)
        return "nothing was stepped, or opening pages kept nothing, so nothing was shown";
    if (hot->at_hot_sites + hot->stepped != step->stepped || hot->at_hot_sites < hot->stepped)
        return "the hot barrier did not see what stepping saw, or not at hot sites";
    if (hot->dead_kept != step->dead_kept || hot->slots_settled != step->slots_settled)
        return "the hot barrier did not settle what stepping settled";
    if (!options.shows_figures && step->dead_kept * 100 > open->dead_kept * PROMISE_PERCENT)
        return "stepping did not keep at least 90 % fewer dead entries";
    return NULL;
}

static void print_help(void)
{
    printf("usage: %s [--quick] [--collections N] [--lookups N] [--seed N] [--figures]\n"
           "  --quick           3 collections in place of 100\n"
           "  --collections N   so many, in each way\n"
           "  --lookups N       lookups while marking, and again while splatting, in each (2000)\n"
           "  --seed N          of the heaps and of the lookups (1)\n"
           "  --figures         in place of the table the nanoseconds of a lookup, a line for each way\n",
           program_invocation_short_name);
    exit(console_end(EXIT_SUCCESS));
}

static void read_arguments(char **argument)
{
    for (; *argument; argument++) {
        if (strcmp(*argument, "--quick") == 0) {
            options.collections = 3;
        } else if (strcmp(*argument, "--figures") == 0) {
            options.shows_figures = true;
        } else if (strcmp(*argument, "--help") == 0) {
            print_help();
        } else if (strcmp(*argument, "--collections") == 0) {
            options.collections = console_read_number(*argument, argument[1], 1, 100000);
            argument++;
        } else if (strcmp(*argument, "--lookups") == 0) {
            options.lookups = console_read_number(*argument, argument[1], BATCHES, 10000000);
            argument++;
        } else if (strcmp(*argument, "--seed") == 0) {
            options.seed = console_read_number(*argument, argument[1], 0, UINT64_MAX);
            argument++;
        } else {
            console_die(2, "'%s' is no option; --help lists them", *argument);
        }
    }
}

int main(int count, char **arguments)
{
    (void)count;
    read_arguments(arguments + 1);
    collector_begin(options.lookups / BATCHES);
    console_live_start(write_live_line);
    /* The hot way comes last: the others run code as it was. */
    for (enum way way = 0; way < WAYS; way++)
        collector_run(way, options.seed, options.collections, count_collection);
    console_live_stop();
    if (options.shows_figures)
        print_figures();
    else
        print_summary();
    const char *failure = find_failure();
    if (!options.shows_figures || failure)
        printf("  %s%s\n", failure ? "FAILED: " : "the promise holds: at least 90 % fewer, nothing lost, nothing stale",
               failure ? failure : "");
    collector_end();
    return console_end(failure != NULL);
}
