/* counts.c: each thread counts by itself; what all have counted is exact, whoever has ended, forked, or had no
 * memory for its counters. */
#include "tests/signals/hot/hot_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulate/body/body.h"

#define THREADS 4u
#define WORDS 100u
/* Rounds that last so long that threads run at the same time. */
#define MANY (100 * ROUNDS)

static uint64_t wanted, first_steps;

static void begin_counts(void)
{
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    wanted = sites_sum(memory.alias, WORDS);
    first_steps = steps();
}

/* Since begin_counts. */
static uint64_t all_accesses(void)
{
    return counted() + (steps() - first_steps);
}

/* `rounds` sums; NULL if all are right. */
static void *count(void *rounds)
{
    for (uintptr_t i = 0; i < (uintptr_t)rounds; i++)
        if (sites_sum(memory.memory, WORDS) != wanted)
            return memory.memory;
    return NULL;
}

static void start(pthread_t *threads, unsigned number, uintptr_t rounds)
{
    for (unsigned i = 0; i < number; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, (void *)rounds), 0);
}

static void join(const pthread_t *threads, unsigned number)
{
    void *wrong;
    for (unsigned i = 0; i < number; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static int threads_count_at_one_site(void)
{
    pthread_t threads[THREADS];
    uint64_t before = 0;
    begin_counts();
    count((void *)1);
    for (unsigned generation = 1; generation <= 2; generation++) {
        start(threads, THREADS, MANY);
        for (unsigned i = 0; i < 50; i++) {
            uint64_t now = counted();
            assert_true(now >= before && now <= (UINT64_C(1) << 40));
            before = now;
        }
        join(threads, THREADS);
        assert_int_equal(all_accesses(), WORDS * (1 + generation * UINT64_C(1) * MANY * THREADS));
    }
    return 0;
}

static uint64_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * UINT64_C(4096);
}

static int threads_leave_their_counters_to_later_ones(void)
{
    pthread_t thread;
    begin_counts();
    count((void *)1);
    start(&thread, 1, 1);
    join(&thread, 1);
    uint64_t before = address_space();
    for (unsigned i = 0; i < 100; i++) {
        start(&thread, 1, 1);
        join(&thread, 1);
    }
    assert_true(address_space() - before < UINT64_C(64) << 20);
    assert_int_equal(all_accesses(), 102 * WORDS);
    return 0;
}

static int counts_stay_while_sites_are_undone(void)
{
    pthread_t threads[THREADS];
    begin_counts();
    start(threads, THREADS, 5 * ROUNDS);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    join(threads, THREADS);
    assert_int_equal(all_accesses(), UINT64_C(5) * ROUNDS * THREADS * WORDS);
    return 0;
}

/* ---- children ---- */

/* The child's threads count beside the one that forked. */
static int count_in_child(uint64_t before)
{
    pthread_t threads[THREADS];
    start(threads, THREADS, MANY);
    if (count((void *)(uintptr_t)MANY))
        return 1;
    join(threads, THREADS);
    return all_accesses() - before == UINT64_C(1) * MANY * (THREADS + 1) * WORDS ? 0 : 2;
}

static int children_count_on(void)
{
    pthread_t threads[THREADS];
    int status;
    begin_counts();
    count((void *)(uintptr_t)ROUNDS);
    start(threads, THREADS, 5 * ROUNDS);
    for (unsigned i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(count_in_child(all_accesses()));
        assert_true(child > 0);
        count((void *)(uintptr_t)ROUNDS);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    join(threads, THREADS);
    assert_int_equal(all_accesses(), UINT64_C(1) * ROUNDS * (3 + 5 * THREADS) * WORDS);
    return 0;
}

/* No fork handler runs: the child's first thread has counters that belong to a TID of the parent. */
static int children_of_a_bare_fork_count_on(void)
{
    begin_counts();
    count((void *)(uintptr_t)ROUNDS);
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0)
        _exit(count_in_child(all_accesses()));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return 0;
}

static void *count_and_tell(void *counters)
{
    void *wrong = count((void *)1);
    *(uint64_t *)counters = body_counters;
    return wrong;
}

/* That TID is no thread of the child's: its counters are the first thread's all the same. */
static int threads_in_a_bare_fork_take_no_counters_of_another(void)
{
    begin_counts();
    count((void *)10);
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        uint64_t counters = 0;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, count_and_tell, &counters), 0);
        join(&thread, 1);
        _exit(!body_counters || !counters || counters == body_counters);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return 0;
}

/* ---- no memory ---- */

static volatile int may_go;

static void *count_later(void *rounds)
{
    while (!may_go)
        usleep(1000);
    void *wrong = count(rounds);
    may_go = 0;
    while (!may_go)
        usleep(1000);
    return wrong ? wrong : count(rounds);
}

/* Each access then faults, and is stepped. */
static int a_thread_without_memory_for_counters_faults(void)
{
    pthread_t thread;
    struct rlimit limit;
    begin_counts();
    count((void *)10);
    assert_int_equal(pthread_create(&thread, NULL, count_later, (void *)10), 0);
    uint64_t before = steps(), accesses = all_accesses();
    getrlimit(RLIMIT_AS, &limit);
    const struct rlimit little = {.rlim_cur = address_space() + (UINT64_C(1) << 20), .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    may_go = 1;
    while (may_go)
        usleep(1000);
    assert_int_equal(steps() - before, 10 * WORDS);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    may_go = 1;
    join(&thread, 1);
    assert_in_range(steps() - before, 10 * WORDS, 10 * WORDS + 2);
    assert_int_equal(all_accesses() - accesses, 2 * 10 * WORDS);
    return 0;
}

/* ---- guests ---- */

/* A guest sums words, with a base of FS that is its own, and returns to address 0. */
static int guest_counts(struct segue_guest *guest)
{
    static uint64_t stack[1024], storage[1024];
    for (unsigned i = 0; i < 1024; i++)
        storage[i] = (uint64_t)(uintptr_t)&storage[512];
    stack[1000] = 0;
    guest->general.rip = (uint64_t)(uintptr_t)sites_sum;
    guest->general.rsp = (uint64_t)(uintptr_t)&stack[1000];
    guest->general.rdi = (uint64_t)(uintptr_t)memory.memory;
    guest->general.rsi = WORDS;
    guest->general.fs_base = (uint64_t)(uintptr_t)&storage[512];
    NEED(segue_guest_enter(guest) == SEGUE_OK);
    NEED(guest->trap_num == 14 && guest->general.rip == 0);
    NEED(guest->general.rax == wanted);
    return 0;
}

static int guests_count_beside_their_host(void)
{
    static struct segue_guest guest;
    begin_counts();
    count((void *)10);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_OK);
    for (unsigned i = 0; i < 10; i++) {
        NEED(guest_counts(&guest) == 0);
        count((void *)10);
    }
    assert_int_equal(all_accesses(), (10 + 10 * (1 + 10)) * WORDS);
    return 0;
}

static int guests_that_were_there_before_count(void)
{
    static struct segue_guest guest;
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_OK);
    begin_counts();
    count((void *)10);
    NEED(guest_counts(&guest) == 0);
    assert_int_equal(all_accesses(), (10 + 1) * WORDS);
    return 0;
}

/* More threads at the same time than have counters (signals/hot/kept/counters.c): the others fault. */
#define MORE_THREADS 4200u
static pthread_barrier_t all_have_counted;

static void *count_and_wait(void *rounds)
{
    void *wrong = count(rounds);
    pthread_barrier_wait(&all_have_counted);
    return wrong;
}

static int threads_beyond_those_with_counters_fault(void)
{
    static pthread_t threads[MORE_THREADS];
    pthread_attr_t small;
    begin_counts();
    count((void *)10);
    uint64_t before = all_accesses(), stepped = steps();
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&all_have_counted, NULL, MORE_THREADS);
    for (unsigned i = 0; i < MORE_THREADS; i++)
        if (pthread_create(&threads[i], &small, count_and_wait, (void *)2) != 0)
            return CASE_SKIPPED;
    join(threads, MORE_THREADS);
    assert_int_equal(all_accesses() - before, 2 * WORDS * MORE_THREADS);
    assert_in_range(steps() - stepped, 2 * WORDS * (MORE_THREADS - 4096), 2 * WORDS * (MORE_THREADS - 4000));
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(threads_count_at_one_site)                                                                                       \
    X(threads_leave_their_counters_to_later_ones)                                                                      \
    X(counts_stay_while_sites_are_undone)                                                                              \
    X(children_count_on)                                                                                               \
    X(children_of_a_bare_fork_count_on)                                                                                \
    X(threads_in_a_bare_fork_take_no_counters_of_another)                                                              \
    X(a_thread_without_memory_for_counters_faults)                                                                     \
    X(threads_beyond_those_with_counters_fault)                                                                        \
    X(guests_count_beside_their_host)                                                                                  \
    X(guests_that_were_there_before_count)

CASES_MAIN(EACH_CASE)
