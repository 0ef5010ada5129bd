/* measure.h: runs the program again and again with its heap watched in one way, and keeps what was seen. */
#ifndef SEGUE_EXAMPLES_HEAPS_MEASURE_H
#define SEGUE_EXAMPLES_HEAPS_MEASURE_H

#include "footprint.h"
#include "opened.h"
#include "output.h"
#include "watched.h"

/* The most runs in one way. */
#define MEASURE_RUNS_MOST 30u

struct measure {
    /* Set by the caller. `runs`: 0 is as many as a third of a second allows, at least three. */
    enum watched_way way;
    uint64_t scale;
    unsigned patience, runs;
    /* What each run should print; NULL: what the first one does, which is kept in `output`. */
    const struct output *expected;
    /* The process's CPU time: of the first run, and the median of the others; 0 if there was only one. Seconds. */
    double first, further;
    /* What was seen of the first and of the last run. */
    struct watched_counts in_first, in_last;
    struct opened_tally opened;
    struct watched_sites sites;
    /* What was added to the process's memory. */
    struct footprint footprint;
    struct output output;
    /* Whether a run printed something else; then also how much, and from which byte on. */
    bool differs;
    size_t size, difference;
};

/* Runs `program`. Ends the process with a message if that fails. */
void measure_way(struct measure *measure);

/* The same in a child, so that this process is as it was: what is measured so from the same state makes the same
 * accesses, whichever the way. */
void measure_way_apart(struct measure *measure);

/* "stepped", for tables and options. */
const char *measure_way_name(enum watched_way way);

#endif
