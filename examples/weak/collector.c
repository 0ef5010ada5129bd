/* collector.c: marking, splatting and sweeping, and the barrier in between.
 *
 * SOURCES: Memory Pool System, manual, pool/awl, "Protection faults". */
#include "collector.h"

#include <pthread.h>
#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "examples/console/console.h"
#include "heap.h"

/* While marking, a weak reference that the mutator loads is kept. Once marking is finished, one to an unmarked object
 * is splatted: made null. */
enum phase {
    PHASE_MARKING,
    PHASE_SPLATTING,
};

/* The cycle's state in one word, so that marking is finished in one atomic step, and only if no policy was at work
 * since the collector last found nothing to trace: the phase; how many policies are at work; how many have ended. */
#define STATE_PHASE 0x3u
#define STATE_AT_WORK 0x4u
#define STATE_AT_WORK_MASK 0xfffcu
#define STATE_ENDED 0x10000u

static struct {
    enum way way;
    uint64_t state;
    /* Marked and not yet traced. Every object is marked once, so neither can overflow: what the collector marks is on
     * its own stack; what policies mark is appended to the log, which the collector reads. */
    struct object *stack[ENTRIES];
    size_t stacked;
    struct object *log[ENTRIES];
    size_t logged, log_read;
    bool open[CAPACITY / PAGE_SLOTS];
    /* With WAY_HOT the region rests between two cycles; otherwise it is removed. */
    bool rests;
} cycle;

static struct {
    pthread_barrier_t meeting;
    uint64_t random;
    uint64_t lookups_per_batch;
    /* What the mutator got and holds on to. */
    struct object **held;
    size_t held_count;
    uint64_t stale;
    double lookup_seconds;
} mutator;

struct tally tallies[WAYS];

/* Of this thread alone, to be read by any. */
static SEGUE_HOT_POLICY void add(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

/* ---- The barrier, on the mutator's thread: in the signal handler, where it may also call mprotect, or from a hot
 * site.
 */

static SEGUE_HOT_POLICY bool mark(struct object *object)
{
    /* Most are marked already: the first look writes nothing. */
    return object && !__atomic_load_n(&object->marked, __ATOMIC_ACQUIRE) &&
           !__atomic_exchange_n(&object->marked, 1, __ATOMIC_ACQ_REL);
}

/* Settles one slot: keeps what it refers to, or makes it null. */
static SEGUE_HOT_POLICY void settle_slot(size_t index, enum phase phase)
{
    struct object **slot = &slots_at(heap.slots.alias)[index];
    struct object *object = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (phase == PHASE_MARKING) {
        if (mark(object)) {
            size_t at = __atomic_fetch_add(&cycle.logged, 1, __ATOMIC_ACQ_REL);
            __atomic_store_n(&cycle.log[at], object, __ATOMIC_RELEASE);
        }
        return;
    }
    if (!object || __atomic_load_n(&object->marked, __ATOMIC_ACQUIRE))
        return;
    __atomic_compare_exchange_n(slot, &object, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Settles every slot that the access touches, one for a load of a word. */
static SEGUE_HOT_POLICY void settle_access(uint64_t offset, uint64_t size, enum phase phase)
{
    uint64_t first = offset / sizeof(void *), last = (offset + size - 1) / sizeof(void *);
    for (uint64_t i = first; i <= last; i++)
        settle_slot(i, phase);
    add(&tallies[cycle.way].slots_settled, last - first + 1);
}

/* Settles every slot of the page, and gives it up. */
static enum segue_verdict open_page(uint64_t page, enum phase phase)
{
    if (__atomic_exchange_n(&cycle.open[page], true, __ATOMIC_ACQ_REL))
        return SEGUE_RETRY;
    for (size_t i = 0; i < PAGE_SLOTS; i++)
        settle_slot(page * PAGE_SLOTS + i, phase);
    if (mprotect((char *)heap.slots.memory + page * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
        return SEGUE_PASS;
    add(&tallies[cycle.way].slots_settled, PAGE_SLOTS);
    add(&tallies[cycle.way].pages_opened, 1);
    return SEGUE_RETRY;
}

/* The two ends of a policy. */
static SEGUE_HOT_POLICY enum phase begin_work(void)
{
    return __atomic_add_fetch(&cycle.state, STATE_AT_WORK, __ATOMIC_ACQ_REL) & STATE_PHASE;
}

static SEGUE_HOT_POLICY void end_work(void)
{
    __atomic_fetch_add(&cycle.state, STATE_ENDED - STATE_AT_WORK, __ATOMIC_ACQ_REL);
}

static enum segue_verdict serve_fault(void *context, const struct segue_event *event)
{
    (void)context;
    enum phase phase = begin_work();
    uint64_t base = (uint64_t)(uintptr_t)heap.slots.memory;
    enum segue_verdict verdict = SEGUE_STEP;
    add(&tallies[cycle.way].faults, 1);
    if (cycle.way == WAY_OPEN || event->can_step != SEGUE_OK) {
        verdict = open_page((event->fault->address - base) / PAGE, phase);
    } else {
        settle_access(event->address - base, event->size, phase);
        add(&tallies[cycle.way].stepped, 1);
    }
    end_work();
    return verdict;
}

/* The same at a hot site, where there is nothing but to step. */
static SEGUE_HOT_POLICY enum segue_verdict serve_hot_site(void *context, const struct segue_hot_event *event)
{
    (void)context;
    enum phase phase = begin_work();
    settle_access(event->address - (uint64_t)(uintptr_t)heap.slots.memory, event->size, phase);
    add(&tallies[WAY_HOT].at_hot_sites, 1);
    end_work();
    return SEGUE_STEP;
}

/* ---- The collector. */

static void trace(const struct object *object)
{
    for (size_t i = 0; i < 2; i++)
        if (mark(object->children[i]))
            cycle.stack[cycle.stacked++] = object->children[i];
}

/* The next object to trace, NULL if there is no such object at this moment. A log entry that is counted but not yet
 * written belongs to a policy that is still at work. */
static struct object *next_grey(void)
{
    if (cycle.stacked)
        return cycle.stack[--cycle.stacked];
    if (cycle.log_read == __atomic_load_n(&cycle.logged, __ATOMIC_ACQUIRE))
        return NULL;
    struct object *object = __atomic_load_n(&cycle.log[cycle.log_read], __ATOMIC_ACQUIRE);
    cycle.log_read += object != NULL;
    return object;
}

static void mark_some(size_t quota)
{
    struct object *object;
    while (quota-- && (object = next_grey()))
        trace(object);
}

/* Traces what is left, then changes the phase. A policy that comes in between changes the state, so that this looks
 * again for what it has marked. */
static void finish_marking(void)
{
    for (;;) {
        uint64_t state = __atomic_load_n(&cycle.state, __ATOMIC_ACQUIRE);
        mark_some(SIZE_MAX);
        bool drained = cycle.log_read == __atomic_load_n(&cycle.logged, __ATOMIC_ACQUIRE);
        if (drained && !(state & STATE_AT_WORK_MASK) &&
            __atomic_compare_exchange_n(&cycle.state, &state, state + PHASE_SPLATTING, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return;
    }
}

/* Frees what is unmarked. */
static void sweep(void)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (!heap.objects[i].marked)
            memset(&heap.objects[i], POISON, sizeof heap.objects[i]);
}

static void check(enum segue_status status, const char *what)
{
    if (status != SEGUE_OK)
        console_die(1, "%s: %s", what, segue_status_text(status));
}

static struct segue_region slots_region(void)
{
    struct segue_region region = {.window = segue_mapping_window(&heap.slots), .policy = serve_fault};
    if (cycle.way == WAY_HOT) {
        region.flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL;
        region.hot_policy = serve_hot_site;
    }
    return region;
}

static void close_slots(void)
{
    struct segue_region region = slots_region();
    check(cycle.rests ? segue_region_update(&region) : segue_region_add(&region), "the table's region cannot be added");
    check(segue_mapping_protect(&heap.slots, 0, heap.slots.size, 0), "the table's pages cannot be protected");
}

/* Opens the pages. A hot region then rests until the next cycle, so that its sites stay hot. */
static void open_slots(void)
{
    struct segue_region region = slots_region();
    check(segue_mapping_protect(&heap.slots, 0, heap.slots.size, SEGUE_READ | SEGUE_WRITE),
          "the table's pages cannot be opened");
    cycle.rests = cycle.way == WAY_HOT;
    region.flags |= SEGUE_REGION_IDLE;
    check(cycle.rests ? segue_region_update(&region) : segue_region_remove(heap.slots.memory),
          "the table's region cannot be removed");
}

/* One collection; between the two waits of each batch the mutator looks entries up. */
static void collect(void)
{
    close_slots();
    if (mark(heap.root))
        cycle.stack[cycle.stacked++] = heap.root;
    for (size_t batch = 0; batch < BATCHES; batch++) {
        pthread_barrier_wait(&mutator.meeting);
        mark_some(ENTRIES / BATCHES / 2);
        pthread_barrier_wait(&mutator.meeting);
    }
    finish_marking();
    for (size_t batch = 0; batch < BATCHES; batch++) {
        pthread_barrier_wait(&mutator.meeting);
        for (size_t i = batch * CAPACITY / BATCHES; i < (batch + 1) * CAPACITY / BATCHES; i++)
            settle_slot(i, PHASE_SPLATTING);
        pthread_barrier_wait(&mutator.meeting);
    }
    open_slots();
    sweep();
    pthread_barrier_wait(&mutator.meeting);
    pthread_barrier_wait(&mutator.meeting);
}

/* ---- The mutator. */

static double seconds_now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void look_up_batch(void)
{
    for (uint64_t i = 0; i < mutator.lookups_per_batch; i++) {
        uint32_t key = (uint32_t)(next_random(&mutator.random) % ENTRIES);
        struct object *object = heap_look_up(key);
        if (!object)
            continue;
        mutator.stale += object->key != key || !heap_is_whole(object);
        mutator.held[mutator.held_count++] = object;
    }
}

/* Batches while marking, batches while splatting, and one after the sweep. Then all that it was ever given must still
 * be there. */
static void *mutate(void *unused)
{
    (void)unused;
    enum segue_status status = segue_thread_attach();
    if (status != SEGUE_OK)
        console_die(1, "the mutator's signal stack: %s", segue_status_text(status));
    for (size_t batch = 0; batch < 2 * BATCHES + 1; batch++) {
        pthread_barrier_wait(&mutator.meeting);
        double start = seconds_now(CLOCK_THREAD_CPUTIME_ID);
        look_up_batch();
        if (batch < 2 * BATCHES)
            mutator.lookup_seconds += seconds_now(CLOCK_THREAD_CPUTIME_ID) - start;
        pthread_barrier_wait(&mutator.meeting);
    }
    for (size_t i = 0; i < mutator.held_count; i++)
        mutator.stale += !heap_is_whole(mutator.held[i]);
    return NULL;
}

/* ---- One collection, and what came of it. */

static void count_survivors(struct tally *tally)
{
    for (uint32_t key = 0; key < ENTRIES; key++) {
        const struct object *object = heap_look_up(key);
        tally->dead_kept += object && !heap.reachable[key];
        tally->lost += !object && heap.reachable[key];
        tally->stale += object && (object->key != key || !heap_is_whole(object));
    }
}

static void run(enum way way, uint64_t seed, bool is_first)
{
    struct tally *tally = &tallies[way];
    uint64_t random = seed;
    heap_build(&random);
    tally->dead += heap_find_truth();
    cycle.way = way;
    cycle.state = PHASE_MARKING;
    cycle.stacked = cycle.logged = cycle.log_read = 0;
    memset(cycle.log, 0, sizeof cycle.log);
    memset(cycle.open, 0, sizeof cycle.open);
    mutator.random = random;
    mutator.held_count = 0;
    mutator.stale = 0;
    mutator.lookup_seconds = 0;

    pthread_t thread;
    double start = seconds_now(CLOCK_MONOTONIC);
    int error = pthread_create(&thread, NULL, mutate, NULL);
    if (error)
        console_die(1, "the mutator's thread: %s", strerror(error));
    collect();
    pthread_join(thread, NULL);
    tally->seconds += seconds_now(CLOCK_MONOTONIC) - start;
    tally->lookups += mutator.lookups_per_batch * (2 * BATCHES + 1);
    tally->stale += mutator.stale;
    if (!is_first) {
        tally->lookup_seconds += mutator.lookup_seconds;
        tally->lookups_timed += mutator.lookups_per_batch * 2 * BATCHES;
    }
    count_survivors(tally);
}

void collector_run(enum way way, uint64_t seed, uint64_t count, void (*collected)(void))
{
    for (uint64_t i = 0; i < count; i++) {
        run(way, seed + i, i == 0);
        collected();
    }
    if (cycle.rests)
        segue_region_remove(heap.slots.memory);
    cycle.rests = false;
}

void collector_begin(uint64_t lookups_per_batch)
{
    mutator.lookups_per_batch = lookups_per_batch;
    mutator.held = malloc((2 * BATCHES + 1) * lookups_per_batch * sizeof *mutator.held);
    check(mutator.held ? SEGUE_OK : SEGUE_NO_MEMORY, "cannot start");
    check(segue_install(NULL), "cannot start");
    check(segue_mapping_create(NULL, CAPACITY * sizeof(struct object *), &heap.slots), "cannot start");
    pthread_barrier_init(&mutator.meeting, NULL, 2);
}

void collector_end(void)
{
    pthread_barrier_destroy(&mutator.meeting);
    segue_mapping_destroy(&heap.slots);
    segue_uninstall(NULL);
    free(mutator.held);
}
