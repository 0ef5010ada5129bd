/* hot_reclaim.c: the memory of bodies that are not in use any more is used again, and no body is that a thread comes
 * back to. Each case runs in a child. */
#include "hot_fixture.h"

#include <pthread.h>
#include <segue/hot.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "patch/hot/sites.h"
#include "patch/hot/space/chunks.h"
#include "signals/hot/reclaim/held.h"
#include "tests/support/times.h"

#define LITTLE (UINT64_C(256) << 10)
/* Bodies are freed when they take 128 KiB; and those of the batch that made it so much. */
#define MOST_RETIRED (UINT64_C(144) << 10)

static void take_memory(uint64_t most)
{
    const struct segue_hot_options options = {.most_memory = most};
    assert_int_equal(segue_hot_configure(&options), SEGUE_OK);
}

static void take_little_memory(void)
{
    take_memory(LITTLE);
}

static uint64_t sum_of_some;

/* So often in `quick`. */
static void make_all_anew(unsigned rounds)
{
    for (unsigned i = 0; i < rounds * test_times(); i++) {
        sum_of_some += sites_load_three(memory.memory) + sites_load_four(memory.memory);
        sum_of_some += sites_many(memory.memory);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    }
}

/* ---- bounds ---- */

static int undoing_and_making_anew_takes_no_more_memory(void)
{
    const unsigned rounds = 1500 * test_times();
    uint64_t sum = 0;
    take_little_memory();
    make_memory();
    uint64_t wanted = sites_sum(memory.alias, 20);
    begin_with(SEGUE_REGION_COUNT);
    for (unsigned i = 0; i < rounds; i++) {
        sum += sites_sum(memory.memory, 20);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    }
    assert_int_equal(sum, rounds * wanted);
    assert_true(chunks_used().memory <= LITTLE);
    /* All but the first access of each round were made in a body, and each is counted: also those of bodies that have
     * been freed. */
    assert_in_range(faults(), rounds, rounds + rounds / 10);
    assert_int_equal(counted() + steps(), rounds * 20);
    return 0;
}

static int regions_that_come_and_go_take_no_more_memory(void)
{
    const unsigned rounds = 2000;
    take_memory(LITTLE / 2);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    for (unsigned i = 0; i < rounds; i++) {
        assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
        fill(memory.alias);
        struct segue_mapping first = memory, second;
        /* Another distance each time. */
        assert_int_equal(segue_mapping_create(NULL, (1 + i % 7) * SIZE, &second), SEGUE_OK);
        begin_with(SEGUE_REGION_COUNT);
        assert_int_equal(sites_sum(memory.memory, 50), sites_sum(memory.alias, 50));
        assert_int_equal(segue_mapping_protect(&memory, 0, SIZE, SEGUE_READ), SEGUE_OK);
        assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
        segue_mapping_destroy(&first);
        segue_mapping_destroy(&second);
    }
    assert_in_range(faults(), rounds, 3 * rounds);
    assert_int_equal(counted() + steps(), rounds * 50);
    return 0;
}

/* ---- threads that come back ---- */

enum waiting { CHANGES, SLEEPS, RUNS };

static volatile enum waiting how;
static volatile int has_interrupted, may_return;

static void interrupt(int number, siginfo_t *info, void *context)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    const ucontext_t *interrupted = context;
    (void)number;
    (void)info;
    if (has_interrupted || !hot_body_find((uint64_t)interrupted->uc_mcontext.gregs[REG_RIP]))
        return;
    has_interrupted = 1;
    if (how == CHANGES)
        make_all_anew(200);
    while (how != CHANGES && !may_return)
        if (how == SLEEPS)
            nanosleep(&moment, NULL);
}

/* Sums until it has been interrupted in a body, and has returned to that. */
static void *sum_until_interrupted(void *wanted)
{
    uint64_t wrong = 0;
    while (!has_interrupted)
        wrong += sites_sum(memory.memory, SIZE / 8) != *(const uint64_t *)wanted;
    return (void *)(uintptr_t)wrong;
}

static uint64_t begin_waiting(enum waiting to_wait)
{
    how = to_wait;
    take_little_memory();
    make_memory();
    return sites_sum(memory.alias, SIZE / 8);
}

/* While the thread waits all bodies are freed but the one that it returns to. */
static void make_all_anew_meanwhile(void)
{
    make_all_anew(300);
    /* On a busy machine there are times when a thread cannot be looked at. The case's alarm ends what never ends. */
    while (hot_retired_size() >= MOST_RETIRED)
        make_all_anew(1);
    assert_in_range(hot_retired_size(), 1, MOST_RETIRED);
}

static void return_to_bodies(pthread_t thread)
{
    void *wrong;
    may_return = 1;
    pthread_join(thread, &wrong);
    assert_null(wrong);
}

static int come_back(enum waiting to_wait)
{
    struct sigaction action = {.sa_sigaction = interrupt, .sa_flags = SA_SIGINFO};
    const struct itimerval often = {{0, 500}, {0, 500}};
    pthread_t thread;
    uint64_t wanted = begin_waiting(to_wait);
    begin_with(0);
    sites_sum(memory.memory, 1);
    assert_int_equal(sigaction(SIGPROF, &action, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, sum_until_interrupted, &wanted), 0);
    assert_int_equal(setitimer(ITIMER_PROF, &often, NULL), 0);
    while (!has_interrupted)
        usleep(100);
    assert_int_equal(setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL), 0);
    if (to_wait != CHANGES)
        make_all_anew_meanwhile();
    return_to_bodies(thread);
    return 0;
}

static int a_thread_returns_to_a_body_after_it_has_undone_it(void)
{
    return come_back(CHANGES);
}

static int a_thread_returns_to_a_body_after_it_has_slept(void)
{
    return come_back(SLEEPS);
}

static int a_thread_returns_to_a_body_after_it_has_run(void)
{
    return come_back(RUNS);
}

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* The second question, which comes from a body, takes long. */
static enum segue_verdict ask_for_long(void *context, const struct segue_hot_event *event)
{
    (void)context;
    if (event->address != (uint64_t)(uintptr_t)memory.memory + 8 || has_interrupted)
        return SEGUE_STEP;
    has_interrupted = 1;
    while (!may_return)
        if (how == SLEEPS)
            usleep(1000);
    return SEGUE_STEP;
}

static int come_back_from_a_policy(enum waiting to_wait)
{
    pthread_t thread;
    uint64_t wanted = begin_waiting(to_wait);
    struct segue_region region = region_with(0);
    region.policy = step;
    region.hot_policy = ask_for_long;
    begin(&region);
    assert_int_equal(pthread_create(&thread, NULL, sum_until_interrupted, &wanted), 0);
    while (!has_interrupted)
        usleep(100);
    make_all_anew_meanwhile();
    return_to_bodies(thread);
    return 0;
}

static int a_policy_returns_to_a_body_after_it_has_slept(void)
{
    return come_back_from_a_policy(SLEEPS);
}

static int a_policy_returns_to_a_body_after_it_has_run(void)
{
    return come_back_from_a_policy(RUNS);
}

/* ---- small stacks ---- */

#define BELOW 8192u
#define SMALL 5120u

static volatile int small_thread;

/* On an alternate stack that hardly holds a frame; what is below it is not its. */
static void *sum_on_a_small_stack(void *below)
{
    const stack_t stack = {.ss_sp = (char *)below + BELOW, .ss_size = SMALL};
    assert_int_equal(sigaltstack(&stack, NULL), 0);
    small_thread = (int)syscall(SYS_gettid);
    uint64_t wrong = 0, wanted = sites_sum(memory.alias, 20);
    while (!may_return)
        wrong += sites_sum(memory.alias, 20) != wanted;
    return (void *)(uintptr_t)wrong;
}

/* Returns what lies below its stack. */
static uint8_t *begin_on_a_small_stack(pthread_t *thread)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_NO_ATTACH};
    take_little_memory();
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
    begin_with(0);
    uint8_t *below = mmap(NULL, BELOW + SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(below, MAP_FAILED);
    memset(below, 0xa5, BELOW);
    assert_int_equal(pthread_create(thread, NULL, sum_on_a_small_stack, below), 0);
    while (!small_thread)
        usleep(100);
    return below;
}

static int a_thread_that_is_asked_writes_nothing_below_its_stack(void)
{
    pthread_t thread;
    const uint8_t *below = begin_on_a_small_stack(&thread);
    make_all_anew(200);
    return_to_bodies(thread);
    for (unsigned i = 0; i < BELOW; i++)
        assert_int_equal(below[i], 0xa5);
    return 0;
}

/* Until the thread has run so long that a signal has arrived. */
static void let_run(pthread_t thread)
{
    struct timespec first, now;
    clockid_t clock;
    assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
    assert_int_equal(clock_gettime(clock, &first), 0);
    do {
        usleep(1000);
        assert_int_equal(clock_gettime(clock, &now), 0);
    } while ((now.tv_sec - first.tv_sec) * 1000000000 + (now.tv_nsec - first.tv_nsec) < 30000000);
}

static int a_thread_without_room_is_asked_once(void)
{
    pthread_t thread;
    unsigned asked = 0;
    begin_on_a_small_stack(&thread);
    for (unsigned i = 0; i < 5; i++) {
        asked += held_ask(small_thread);
        let_run(thread);
        assert_false(held_is_answered());
    }
    assert_int_equal(asked, 1);
    return_to_bodies(thread);
    return 0;
}

/* ---- jumps that are left ---- */

/* The program has forgotten the code, and executes it once more before it writes there. */
static int forgotten_code_may_be_executed_until_it_is_replaced(void)
{
    const struct segue_hot_options options = {.flags = SEGUE_HOT_JIT, .most_memory = LITTLE};
    assert_int_equal(segue_hot_configure(&options), SEGUE_OK);
    make_memory();
    uint8_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(code, MAP_FAILED);
    memcpy(code, (void *)(uintptr_t)sites_sum, 64);
    assert_int_equal(mprotect(code, PAGE, PROT_READ | PROT_EXEC), 0);
    uint64_t (*generated)(void *, uint64_t) = (uint64_t(*)(void *, uint64_t))(uintptr_t)code;
    uint64_t wanted = sites_sum(memory.alias, 20);
    begin_with(0);
    assert_int_equal(generated(memory.memory, 20), wanted);
    assert_int_equal(segue_patches_forget((uint64_t)(uintptr_t)code, PAGE), SEGUE_OK);
    for (unsigned i = 0; i < 20; i++) {
        make_all_anew(30);
        assert_int_equal(generated(memory.alias, 20), wanted);
    }
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(undoing_and_making_anew_takes_no_more_memory)                                                                    \
    X(regions_that_come_and_go_take_no_more_memory)                                                                    \
    X(a_thread_returns_to_a_body_after_it_has_undone_it)                                                               \
    X(a_thread_returns_to_a_body_after_it_has_slept)                                                                   \
    X(a_thread_returns_to_a_body_after_it_has_run)                                                                     \
    X(a_policy_returns_to_a_body_after_it_has_slept)                                                                   \
    X(a_policy_returns_to_a_body_after_it_has_run)                                                                     \
    X(a_thread_that_is_asked_writes_nothing_below_its_stack)                                                           \
    X(a_thread_without_room_is_asked_once)                                                                             \
    X(forgotten_code_may_be_executed_until_it_is_replaced)

CASES_MAIN(EACH_CASE)
