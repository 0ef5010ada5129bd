/* torture.h: what the pieces of the torture of hot sites share. */
#ifndef SEGUE_TESTS_SIGNALS_HOT_TORTURE_TORTURE_H
#define SEGUE_TESTS_SIGNALS_HOT_TORTURE_TORTURE_H

#include <pthread.h>
#include <segue/segue.h>

#include "work.h"

#define WORKERS 8u
#define STACK_SIZE ((size_t)256 * 1024)

/* What the regions of a round are. */
enum mode {
    /* Counting, without a policy; nothing but work of which the number of accesses is known, each of them counted. */
    MODE_COUNT,
    /* Nothing is asked or counted. */
    MODE_LED,
    /* A policy of general registers; one of vector registers, which is shown the registers. */
    MODE_ASK,
    MODE_ASK_VECTORS,
    /* A policy of general registers, about some accesses; with the work of MODE_COUNT, since all are counted. */
    MODE_SAMPLE,
    /* All of them in turn, and idle. */
    MODE_CHANGES,
    MODES,
};

/* What can be left out, to find who is to blame; a bit set. */
enum left_out {
    WITHOUT_CHANGES = 1,
    WITHOUT_SUSPENSIONS = 2,
    WITHOUT_SIGNALS = 4,
    WITHOUT_FORKS = 8,
    WITHOUT_OWN_REGIONS = 16,
    WITHOUT_LIBRARIES = 32,
    WITHOUT_UNDOING = 64,
    /* One worker alone. */
    WITHOUT_OTHERS = 128,
};

struct options {
    uint64_t seed;
    /* enum left_out. */
    uint64_t without;
    /* Pieces of work of each worker in a round. */
    uint64_t pieces;
    unsigned rounds, seconds;
    const char *libraries[2];
};
extern struct options options;

/* What happened; each is added to atomically. */
struct happened {
    uint64_t accesses, pieces, replaced, ticks, translated, jumps, forks, lives, asked, asked_ordinarily, own_regions,
        suspensions, suspended_in_fault, undone, updates, idles, exchanges, same_places;
};
extern struct happened happened;

static inline void happens(uint64_t *what, uint64_t times)
{
    __atomic_fetch_add(what, times, __ATOMIC_RELAXED);
}

/* ---- memory.c ---- */

/* The mode of the round; each access is counted in it. */
extern enum mode mode;
bool memory_counts(void);

void memory_prepare(void);
void memory_protect(void);

/* A worker's slab, and that of its children. */
struct slab memory_slab(unsigned worker, bool of_child);

/* Gives all shared regions this mode; also while they are used. */
void memory_set(enum mode to);
/* Changes one of them to what the random number says, in a way that the mode allows. */
void memory_change(struct random *random);

/* A region of the caller's own. */
struct own_region {
    struct segue_mapping mapping;
    char *plain;
};
struct slab own_region_begin(struct own_region *own);
void own_region_end(struct own_region *own);

/* When no worker is at work: torture_page holds what it should. The sites whose address is the alias's, or has been. */
void memory_check(void);
uint64_t memory_constants(void);

/* All accesses that were counted or stepped. */
uint64_t memory_counted(void);

/* ---- worker.c ---- */

/* Runs a thread in each slot, some of them one after the other, and returns when all have done their work. */
void workers_run(unsigned round);
void workers_prepare(void);

/* Suspends some of the workers, looks at them, and resumes them. */
void workers_suspend(struct random *random);

/* Whether an address is in code that some file holds. Async-signal-safe. */
bool is_application(uint64_t address);
void applications_find(void);

/* ---- library.c: the library that is exchanged while the workers run ---- */

extern pthread_rwlock_t library_lock;
extern struct replaced library;
void library_exchange(struct random *random);

#endif
