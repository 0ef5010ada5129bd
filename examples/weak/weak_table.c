/* weak_table.c: a collector that steps the loads of a weak hash table, beside one that must open the pages.
 *
 * A weak table's slots do not keep what they refer to alive. While the collector marks, the mutator may still look an
 * entry up, and then holds the object: the collector must learn of it, so the slots lie on closed pages. The fault
 * reports one slot. A collector that can step the load settles that slot and leaves the page closed. One that
 * cannot has to open the page, and from then on it learns of no lookup there: it must first settle every slot of the
 * page, and while marking is under way that means to keep all of them.
 *
 * Both ways run over the same heap, the same table and the same lookups, by a mutator thread beside the collector. What
 * is alive and what is dead is found beforehand, by a walk that has nothing to do with the collector.
 *
 * SOURCES: Memory Pool System, manual, pool/awl, "Protection faults". */
#include <errno.h>
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "examples/console.h"
#include "heap.h"

/* The collector and the mutator meet before and after each batch of lookups. */
#define BATCHES 20u
/* Of the dead entries that opening pages keeps, stepping must keep at most this part. */
#define PROMISE_PERCENT 10u

enum way {
    WAY_STEP,
    WAY_OPEN,
    WAYS,
};

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

/* What was counted in all collections of one way. The policy adds atomically. */
struct tally {
    uint64_t faults, stepped, slots_settled, pages_opened;
    uint64_t dead, dead_kept, lost, stale;
    uint64_t lookups;
    double seconds;
};

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
} cycle;

static struct {
    pthread_barrier_t meeting;
    uint64_t random;
    uint64_t lookups_per_batch;
    /* What the mutator got and holds on to. */
    struct object **held;
    size_t held_count;
    uint64_t stale;
} mutator;

static struct tally tallies[WAYS];
static uint64_t collection, collections = 100;

static void add(uint64_t *counter, uint64_t amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

/* ---- What the policies do, on the mutator's thread inside the signal handler: atomic operations and mprotect. */

static bool mark(struct object *object)
{
    return object && !__atomic_exchange_n(&object->marked, 1, __ATOMIC_ACQ_REL);
}

/* Settles one slot: keeps what it refers to, or makes it null. */
static void settle_slot(size_t index, enum phase phase)
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
static enum segue_verdict step_access(uint64_t offset, uint64_t size, enum phase phase)
{
    uint64_t first = offset / sizeof(void *), last = (offset + size - 1) / sizeof(void *);
    for (uint64_t i = first; i <= last; i++)
        settle_slot(i, phase);
    add(&tallies[cycle.way].slots_settled, last - first + 1);
    add(&tallies[cycle.way].stepped, 1);
    return SEGUE_STEP;
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

static enum segue_verdict serve_fault(void *context, const struct segue_event *event)
{
    (void)context;
    uint64_t state = __atomic_add_fetch(&cycle.state, STATE_AT_WORK, __ATOMIC_ACQ_REL);
    enum phase phase = state & STATE_PHASE;
    uint64_t base = (uint64_t)(uintptr_t)heap.slots.memory;
    bool steps = cycle.way == WAY_STEP && event->can_step == SEGUE_OK;
    add(&tallies[cycle.way].faults, 1);
    enum segue_verdict verdict = steps ? step_access(event->address - base, event->size, phase)
                                       : open_page((event->fault->address - base) / PAGE, phase);
    __atomic_fetch_add(&cycle.state, STATE_ENDED - STATE_AT_WORK, __ATOMIC_ACQ_REL);
    return verdict;
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

static void close_slots(void)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)heap.slots.memory,
                   .size = heap.slots.size,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = heap.slots.alias},
        .policy = serve_fault,
    };
    enum segue_status status = segue_region_add(&region);
    if (status != SEGUE_OK)
        console_die(1, "the table's region cannot be added: %s", segue_status_text(status));
    if (mprotect(heap.slots.memory, heap.slots.size, PROT_NONE) != 0)
        console_die(1, "the table's pages cannot be protected: %m");
}

static void open_slots(void)
{
    if (mprotect(heap.slots.memory, heap.slots.size, PROT_READ | PROT_WRITE) != 0)
        console_die(1, "the table's pages cannot be opened: %m");
    segue_region_remove(heap.slots.memory);
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
        look_up_batch();
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

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void run(enum way way, uint64_t seed)
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

    pthread_t thread;
    double start = seconds_now();
    int error = pthread_create(&thread, NULL, mutate, NULL);
    if (error)
        console_die(1, "the mutator's thread: %s", strerror(error));
    collect();
    pthread_join(thread, NULL);
    tally->seconds += seconds_now() - start;
    tally->lookups += mutator.lookups_per_batch * (2 * BATCHES + 1);
    tally->stale += mutator.stale;
    count_survivors(tally);
}

/* ---- The program. */

static void write_live_line(char *line, size_t size)
{
    snprintf(line, size, "collection %s of %s  %s loads stepped  %s pages opened",
             console_grouped(__atomic_load_n(&collection, __ATOMIC_RELAXED)).text, console_grouped(collections).text,
             console_grouped(__atomic_load_n(&tallies[WAY_STEP].stepped, __ATOMIC_RELAXED)).text,
             console_grouped(__atomic_load_n(&tallies[WAY_OPEN].pages_opened, __ATOMIC_RELAXED)).text);
}

static void print_row(const char *label, uint64_t step, uint64_t open)
{
    printf("  %-34s %14s %14s\n", label, console_grouped(step).text, console_grouped(open).text);
}

static void print_summary(uint64_t seed)
{
    const struct tally *step = &tallies[WAY_STEP], *open = &tallies[WAY_OPEN];
    printf("weak table: %s entries, %s collections from seed %s\n", console_grouped(ENTRIES).text,
           console_grouped(collections).text, console_grouped(seed).text);
    printf("  %-34s %14s %14s\n", "", "stepping", "opening pages");
    print_row("lookups by the mutator", step->lookups, open->lookups);
    print_row("  of them while marking", mutator.lookups_per_batch * BATCHES * collections,
              mutator.lookups_per_batch * BATCHES * collections);
    print_row("faults", step->faults, open->faults);
    print_row("loads stepped", step->stepped, open->stepped);
    print_row("slots settled in faults", step->slots_settled, open->slots_settled);
    print_row("pages opened", step->pages_opened, open->pages_opened);
    print_row("entries dead at the start", step->dead, open->dead);
    print_row("dead entries kept alive", step->dead_kept, open->dead_kept);
    print_row("living entries lost", step->lost, open->lost);
    print_row("stale objects read", step->stale, open->stale);
    printf("  %-34s %11.2f ms %11.2f ms\n", "time of one collection", step->seconds * 1e3 / (double)collections,
           open->seconds * 1e3 / (double)collections);
    double ratio = open->dead_kept ? (double)step->dead_kept / (double)open->dead_kept : 1.0;
    printf("  stepping kept %.4f times the dead entries that opening pages kept: %.1f %% fewer\n", ratio,
           100.0 * (1.0 - ratio));
}

static const char *find_failure(void)
{
    const struct tally *step = &tallies[WAY_STEP], *open = &tallies[WAY_OPEN];
    if (step->stale || open->stale)
        return "a slot gave an object that had been freed";
    if (step->lost || open->lost)
        return "an entry that was alive is gone";
    if (!step->stepped || !open->dead_kept)
        return "nothing was stepped, or opening pages kept nothing, so nothing was shown";
    if (step->dead_kept * 100 > open->dead_kept * PROMISE_PERCENT)
        return "stepping did not keep at least 90 % fewer dead entries";
    return NULL;
}

static uint64_t read_arguments(char **argument, uint64_t *seed)
{
    uint64_t lookups = 2000;
    for (; *argument; argument++) {
        if (strcmp(*argument, "--quick") == 0) {
            collections = 3;
        } else if (strcmp(*argument, "--help") == 0) {
            printf("usage: %s [--quick] [--collections N] [--lookups N] [--seed N]\n"
                   "  --quick           3 collections in place of 100\n"
                   "  --collections N   so many\n"
                   "  --lookups N       lookups while marking, and again while splatting, in each (2000)\n"
                   "  --seed N          of the heaps and of the lookups (1)\n",
                   program_invocation_short_name);
            exit(0);
        } else if (strcmp(*argument, "--collections") == 0) {
            collections = console_read_number(*argument, argument[1], 1, 100000);
            argument++;
        } else if (strcmp(*argument, "--lookups") == 0) {
            lookups = console_read_number(*argument, argument[1], BATCHES, 10000000);
            argument++;
        } else if (strcmp(*argument, "--seed") == 0) {
            *seed = console_read_number(*argument, argument[1], 0, UINT64_MAX);
            argument++;
        } else {
            console_die(2, "'%s' is no option; --help lists them", *argument);
        }
    }
    return lookups;
}

int main(int count, char **arguments)
{
    uint64_t seed = 1;
    (void)count;
    mutator.lookups_per_batch = read_arguments(arguments + 1, &seed) / BATCHES;
    mutator.held = malloc((2 * BATCHES + 1) * mutator.lookups_per_batch * sizeof *mutator.held);
    enum segue_status status = segue_install(NULL);
    if (status == SEGUE_OK)
        status = segue_mapping_create(NULL, CAPACITY * sizeof(struct object *), &heap.slots);
    if (status != SEGUE_OK || !mutator.held)
        console_die(1, "cannot start: %s", segue_status_text(status == SEGUE_OK ? SEGUE_NO_MEMORY : status));
    pthread_barrier_init(&mutator.meeting, NULL, 2);

    console_live_start(write_live_line);
    for (uint64_t i = 0; i < collections; i++) {
        __atomic_store_n(&collection, i + 1, __ATOMIC_RELAXED);
        for (enum way way = 0; way < WAYS; way++)
            run(way, seed + i);
    }
    console_live_stop();

    print_summary(seed);
    const char *failure = find_failure();
    printf("  %s%s\n", failure ? "FAILED: " : "the promise holds: at least 90 % fewer, nothing lost, nothing stale",
           failure ? failure : "");
    pthread_barrier_destroy(&mutator.meeting);
    segue_mapping_destroy(&heap.slots);
    segue_uninstall(NULL);
    free(mutator.held);
    return console_end(failure != NULL);
}
