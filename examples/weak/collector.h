/* collector.h: one collection of the weak table's heap, with a mutator that looks entries up meanwhile. */
#ifndef SEGUE_EXAMPLES_WEAK_COLLECTOR_H
#define SEGUE_EXAMPLES_WEAK_COLLECTOR_H

#include <stdint.h>

/* The collector and the mutator meet before and after each batch of lookups. */
#define BATCHES 20u

/* What a lookup of a slot on a closed page does. */
enum way {
    /* It faults, and the load is stepped: one slot is settled. */
    WAY_STEP,
    /* It faults, and the page is opened: all slots of the page are settled. */
    WAY_OPEN,
    /* Its load is a hot site, which calls the barrier: one slot is settled. */
    WAY_HOT,
    WAYS,
};

/* What was counted in all collections of one way. The mutator's thread writes it, and any may read. */
struct tally {
    uint64_t faults, stepped, at_hot_sites, slots_settled, pages_opened;
    uint64_t dead, dead_kept, lost, stale;
    uint64_t lookups;
    double seconds;
    /* The mutator's CPU time for lookups while the pages are closed, of the collections behind the first one, in which
     * code is met for the first time; and how many lookups those were. */
    double lookup_seconds;
    uint64_t lookups_timed;
};

extern struct tally tallies[WAYS];

/* Before all else; `lookups_per_batch` is the mutator's. Ends the process with a message on failure. */
void collector_begin(uint64_t lookups_per_batch);
void collector_end(void);

/* Collects heaps made from the seeds `seed` to `seed` + `count` - 1, one after the other. `collected` is called after
 * each. */
void collector_run(enum way way, uint64_t seed, uint64_t count, void (*collected)(void));

#endif
