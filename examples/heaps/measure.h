/* measure.h: runs the program again and again with its heap watched in one way, and keeps what was seen. */
#ifndef SEGUE_EXAMPLES_HEAPS_MEASURE_H
#define SEGUE_EXAMPLES_HEAPS_MEASURE_H

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
    /* The process's CPU time: of the first run, and the median of the others; 0 if there was only one. Seconds. */
    double first, further;
    /* What was seen of the first and of the last run. */
    struct watched_counts in_first, in_last;
    struct opened_tally opened;
    /* How many pages the heap's blocks have stood on; 0 if the program takes no memory by its blocks. */
    size_t pages;
    /* What the first run printed, and whether all others printed the same. */
    struct output output;
    bool is_steady;
};

/* Runs `program`. Ends the process with a message if that fails. */
void measure_way(struct measure *measure);

/* "stepped", for tables and options. */
const char *measure_way_name(enum watched_way way);

#endif
