/* collector.c: mutators, their roots, the write barrier, and the cycle.
 *
 * The invariant is that of Yuasa's snapshot at the beginning: every object that could be reached at the first handshake
 * is marked. A mutator may overwrite a reference that the collector has not followed yet; so, while marking, the
 * barrier logs the reference that a store is about to overwrite. New objects are marked when they are allocated.
 *
 *     pages write-protected -> handshake: roots -> mark, with the log -> handshake: rest of the log, move, sweep ->
 * pages
 *
 * At a handshake all mutators are suspended wherever they are, also inside the barrier. A store whose barrier was
 * interrupted by the last handshake has not overwritten anything yet: what it would log is still where the collector
 * has found it.
 *
 * SOURCES: T. Yuasa, "Real-time garbage collection on general-purpose machines" (1990); H.-J. Boehm, "Mark-sweep versus
 * copying collection" (conservative roots pin, as in Bartlett's collector). */
#include "collector.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

#define MUTATORS 64
/* Entries of the log, a power of two; tests/clients/log.c has fewer. */
#ifndef LOG_MOST
#define LOG_MOST (UINT64_C(1) << 20)
#endif
#define TIMEOUT UINT64_C(20000000000)

static struct mutator {
    segue_thread_id thread;
    uint64_t stack_end;
    struct object **roots;
    size_t root_count;
} mutators[MUTATORS];
static size_t mutator_count;
/* Held by a cycle and by mutators that come and go. */
static pthread_mutex_t mutators_lock = PTHREAD_MUTEX_INITIALIZER;
/* So many wait for the lock; the next cycle lets them have it first. */
static unsigned mutators_waiting;
/* The roots that belong to no thread. */
static struct mutator everyones;
static struct segue_suspension suspensions[MUTATORS];

static bool moves;
static struct collector_counts counts;
/* Cells whose object is marked and whose references are not followed yet: each cell is here once at most. */
static uint32_t *grey;
static size_t grey_count;
static bool is_concurrent;

/* ---- the write barrier ---- */

static uint32_t is_marking;

/* Overwritten references: the number of the cell, and above it the turn that the entry has had. The entry at `log_end`
 * may be written already. */
static uint64_t *overwritten;
static uint64_t log_end, log_done;

#define CELL_BITS 32

static inline SEGUE_HOT_POLICY uint64_t turn_of(uint64_t index)
{
    return index / LOG_MOST + 1;
}

/* To show that the stress test finds what this barrier is for: tests/clients/meson.build. */
#ifndef COLLECTOR_WITHOUT_BARRIER
#define COLLECTOR_WITHOUT_BARRIER 0
#endif

/* A thread writes the entry only as the last turn has left it, and any thread then counts it: one that stops in between
 * delays no other, and overwrites nothing when it goes on. */
SEGUE_HOT_POLICY static void log_cell(uint64_t cell)
{
    for (bool is_written = false; !is_written;) {
        uint64_t index = __atomic_load_n(&log_end, __ATOMIC_ACQUIRE);
        uint64_t *entry = &overwritten[index % LOG_MOST], present = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
        if (present >> CELL_BITS != turn_of(index))
            is_written = present >> CELL_BITS == turn_of(index) - 1 &&
                         __atomic_compare_exchange_n(entry, &present, turn_of(index) << CELL_BITS | cell, false,
                                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        if (is_written || present >> CELL_BITS == turn_of(index))
            __atomic_compare_exchange_n(&log_end, &index, index + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
}

SEGUE_HOT_POLICY static void log_words(const uint64_t *at, const uint64_t *end)
{
    if (COLLECTOR_WITHOUT_BARRIER)
        return;
    for (; at < end; at++) {
        uint64_t value = __atomic_load_n(at, __ATOMIC_RELAXED);
        if (value - (uint64_t)(uintptr_t)heap.mapping.memory >= heap.mapping.size)
            continue;
        log_cell((value - (uint64_t)(uintptr_t)heap.mapping.memory) / CELL);
    }
}

/* At hot sites, without a signal. A store may overwrite parts of words: all words that it touches are logged. */
SEGUE_HOT_POLICY static enum segue_verdict barrier_hot(void *context, const struct segue_hot_event *event)
{
    (void)context;
    if ((event->direction & SEGUE_WRITE) && __atomic_load_n(&is_marking, __ATOMIC_ACQUIRE)) {
        uintptr_t at = (uintptr_t)event->at & ~(uintptr_t)7, end = (uintptr_t)event->at + event->size;
        log_words((const uint64_t *)at, (const uint64_t *)((end + 7) & ~(uintptr_t)7));
    }
    return SEGUE_STEP;
}

/* By a signal: at an instruction's first store to a protected page, and at those that do not become hot. */
static enum segue_verdict barrier(void *context, const struct segue_event *event)
{
    (void)context;
    struct segue_words words = segue_event_words(event);
    while (__atomic_load_n(&is_marking, __ATOMIC_ACQUIRE) && segue_words_next(&words))
        if (words.direction & SEGUE_WRITE)
            log_words(words.at, (const uint64_t *)words.at + 1);
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

static struct segue_region region_of_heap(uint32_t flags)
{
    return (struct segue_region){.window = segue_mapping_window(&heap.mapping),
                                 .policy = barrier,
                                 .hot_policy = barrier_hot,
                                 .flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL | flags};
}

/* Between two cycles hot sites store without a question. */
static bool barrier_on(void)
{
    const struct segue_region region = region_of_heap(0);
    return segue_region_update(&region) == SEGUE_OK &&
           segue_mapping_protect(&heap.mapping, 0, heap.mapping.size, SEGUE_READ) == SEGUE_OK;
}

static bool barrier_off(void)
{
    const struct segue_region region = region_of_heap(SEGUE_REGION_IDLE);
    return segue_mapping_protect(&heap.mapping, 0, heap.mapping.size, SEGUE_READ | SEGUE_WRITE) == SEGUE_OK &&
           segue_region_update(&region) == SEGUE_OK;
}

/* ---- mutators ---- */

static void lock_mutators(void)
{
    __atomic_fetch_add(&mutators_waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&mutators_lock);
    __atomic_fetch_sub(&mutators_waiting, 1, __ATOMIC_RELAXED);
}

bool collector_attach(struct object **roots, size_t count)
{
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    pthread_attr_getstack(&attributes, &stack, &size);
    pthread_attr_destroy(&attributes);
    lock_mutators();
    bool has_room = mutator_count < MUTATORS;
    if (has_room)
        mutators[mutator_count++] =
            (struct mutator){segue_thread_self(), (uint64_t)(uintptr_t)stack + size, roots, count};
    pthread_mutex_unlock(&mutators_lock);
    return has_room;
}

void collector_add_roots(struct object **roots, size_t count)
{
    everyones = (struct mutator){.roots = roots, .root_count = count};
}

void collector_detach(void)
{
    lock_mutators();
    for (size_t i = 0; i < mutator_count; i++)
        if (mutators[i].thread == segue_thread_self())
            mutators[i--] = mutators[--mutator_count];
    pthread_mutex_unlock(&mutators_lock);
}

/* From here to `resume` the collector may call only async-signal-safe functions, and takes no lock. */
static bool suspend(void)
{
    for (size_t i = 0; i < mutator_count; i++)
        suspensions[i] = (struct segue_suspension){.thread = mutators[i].thread};
    if (mutator_count == 0 || segue_threads_suspend(suspensions, mutator_count, TIMEOUT) == SEGUE_OK)
        return true;
    segue_threads_resume(suspensions, mutator_count);
    return false;
}

static void resume(void)
{
    if (mutator_count)
        segue_threads_resume(suspensions, mutator_count);
}

/* ---- allocation ---- */

/* The cell's address is in a local variable that every scan sees, before the cell is allocated: if a cycle begins or
 * ends at any instruction here, the cell is marked. */
static struct object *try_cell(size_t cell)
{
    struct object *volatile object = heap_object(cell);
    bit_set(heap.marked, cell);
    if (bit_set(heap.allocated, cell))
        return NULL;
    memset(heap_alias(cell), 0, CELL);
    return object;
}

struct object *collector_new(void)
{
    static __thread size_t next_word;
    const size_t words = heap.cells / 64;
    for (size_t i = 0; i < words; i++) {
        size_t word = (next_word + i) % words;
        uint64_t unused;
        while ((unused = ~__atomic_load_n(&heap.allocated[word], __ATOMIC_RELAXED)) != 0) {
            struct object *object = try_cell(word * 64 + (size_t)__builtin_ctzll(unused));
            next_word = word;
            if (object)
                return object;
        }
    }
    return NULL;
}

/* ---- marking ---- */

static void mark_cell(size_t cell)
{
    if (!bit_set(heap.marked, cell))
        grey[grey_count++] = (uint32_t)cell;
}

static void mark(uint64_t address)
{
    size_t cell = heap_cell(address);
    if (cell != NO_CELL)
        mark_cell(cell);
}

/* While mutators run, the collector lets them have the processor now and then. */
#define STEP 256

static void mark_reachable(void)
{
    for (unsigned steps = 1; grey_count; steps++) {
        if (is_concurrent && steps % STEP == 0)
            sched_yield();
        const struct object *object = heap_alias(grey[--grey_count]);
        for (size_t i = 0; i < OBJECT_REFERENCES; i++)
            mark((uint64_t)(uintptr_t)__atomic_load_n(&object->references[i], __ATOMIC_RELAXED));
    }
}

/* Follows the log. What has been overwritten in it meanwhile is found by mark_again. */
static bool mark_log(void)
{
    uint64_t end = __atomic_load_n(&log_end, __ATOMIC_ACQUIRE), begin = log_done;
    for (; log_done < end; log_done++) {
        uint64_t entry = __atomic_load_n(&overwritten[log_done % LOG_MOST], __ATOMIC_ACQUIRE);
        /* A barrier that was interrupted by the last cycle's end may log a cell that is free by now. */
        if (entry >> CELL_BITS == turn_of(log_done) && bit_is_set(heap.allocated, (uint32_t)entry))
            mark_cell((uint32_t)entry);
    }
    counts.logged += log_done - begin;
    mark_reachable();
    return log_done != begin;
}

/* Calls `take` for each word that may be a reference in the thread's registers and stack. */
static int take_words(void *closure, const void *base, const void *limit)
{
    void (*take)(uint64_t) = *(void (**)(uint64_t))closure;
    for (const uint64_t *at = base; at < (const uint64_t *)limit; at++)
        take(*at);
    return 0;
}

static void scan_conservatively(void (*take)(uint64_t))
{
    for (size_t i = 0; i < mutator_count; i++) {
        const struct segue_mutator *context = &suspensions[i].context;
        if (suspensions[i].status != SEGUE_OK)
            continue;
        segue_mutator_scan(context, take_words, &take);
        uint64_t sp = (segue_mutator_sp(context) + 7) & ~UINT64_C(7);
        take_words(&take, (const void *)(uintptr_t)sp, (const void *)(uintptr_t)mutators[i].stack_end);
    }
}

static void mark_table(const struct mutator *mutator)
{
    for (size_t i = 0; i < mutator->root_count; i++)
        mark((uint64_t)(uintptr_t)mutator->roots[i]);
}

static void mark_roots(void)
{
    scan_conservatively(mark);
    mark_table(&everyones);
    for (size_t i = 0; i < mutator_count; i++)
        mark_table(&mutators[i]);
}

/* The log was too short: everything that is reached from the roots or from a marked object is marked now, while no
 * mutator runs. */
static void mark_again(void)
{
    counts.overflows++;
    mark_roots();
    for (size_t cell = 0; cell < heap.cells; cell++)
        for (size_t i = 0; bit_is_set(heap.marked, cell) && i < OBJECT_REFERENCES; i++)
            mark((uint64_t)(uintptr_t)heap_alias(cell)->references[i]);
    mark_reachable();
}

/* ---- the cycle ---- */

static void begin_marking(void)
{
    memset(heap.marked, 0, heap.cells / 8);
    /* Of a barrier that the last cycle's end has interrupted: its store is yet to ask again. */
    log_end += overwritten[log_end % LOG_MOST] >> CELL_BITS == turn_of(log_end);
    log_done = log_end;
    __atomic_store_n(&is_marking, 1, __ATOMIC_RELEASE);
    mark_roots();
}

static void end_marking(void)
{
    mark_log();
    __atomic_store_n(&is_marking, 0, __ATOMIC_RELEASE);
}

static void pin(uint64_t address)
{
    size_t cell = heap_cell(address);
    if (cell != NO_CELL)
        counts.pinned += !bit_set(heap.pinned, cell);
}

static void correct_table(const struct mutator *mutator)
{
    for (size_t i = 0; i < mutator->root_count; i++)
        mutator->roots[i] = heap_moved(mutator->roots[i]);
}

static void compact(void)
{
    memset(heap.pinned, 0, heap.cells / 8);
    scan_conservatively(pin);
    counts.moved += heap_compact();
    correct_table(&everyones);
    for (size_t i = 0; i < mutator_count; i++)
        correct_table(&mutators[i]);
}

static bool run_cycle(void)
{
    if (!suspend())
        return false;
    uint64_t log_begin = log_end;
    begin_marking();
    is_concurrent = true;
    resume();
    do
        mark_reachable();
    while (mark_log());
    bool is_suspended = suspend();
    is_concurrent = false;
    if (!is_suspended) {
        __atomic_store_n(&is_marking, 0, __ATOMIC_RELEASE);
        return false;
    }
    bool has_overflown = log_end - log_begin >= LOG_MOST;
    if (has_overflown)
        log_done = log_end;
    end_marking();
    if (has_overflown)
        mark_again();
    counts.freed += heap_sweep();
    if (moves)
        compact();
    resume();
    counts.cycles++;
    return true;
}

bool collector_collect(void)
{
    while (__atomic_load_n(&mutators_waiting, __ATOMIC_RELAXED))
        sched_yield();
    pthread_mutex_lock(&mutators_lock);
    bool is_done = barrier_on() && run_cycle();
    is_done = barrier_off() && is_done;
    pthread_mutex_unlock(&mutators_lock);
    return is_done;
}

void collector_count(struct collector_counts *result)
{
    *result = counts;
}

/* ---- beginning and end ---- */

static void *map_table(size_t size)
{
    void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return table == MAP_FAILED ? NULL : table;
}

static bool fail(const char *what)
{
    fprintf(stderr, "collector: %s: %s\n", what, segue_reason());
    return false;
}

bool collector_begin(size_t size, bool wants_to_move)
{
    moves = wants_to_move;
    if (segue_install(NULL) != SEGUE_OK)
        return fail("segue_install");
    if (segue_suspend_install(NULL) != SEGUE_OK)
        return fail("segue_suspend_install");
    if (!heap_begin(size))
        return fail("the heap");
    grey = map_table(heap.cells * sizeof *grey);
    overwritten = map_table(LOG_MOST * sizeof *overwritten);
    const struct segue_region region = region_of_heap(SEGUE_REGION_IDLE);
    if (!grey || !overwritten || segue_region_add(&region) != SEGUE_OK)
        return fail("the region of the heap");
    return true;
}

void collector_end(void)
{
    segue_region_remove(heap.mapping.memory);
    munmap(grey, heap.cells * sizeof *grey);
    munmap(overwritten, LOG_MOST * sizeof *overwritten);
    heap_end();
    segue_suspend_uninstall();
    segue_uninstall(NULL);
}
