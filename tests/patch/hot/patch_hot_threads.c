/* patch_hot_threads.c: sites become hot and are undone while other threads run them, or do the same; and on both sides
 * of a fork. */
#include "hot_code.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "patch/hot/space/chunks.h"
#include "tests/patch/batch_code.h"
#include "tests/support/random.h"

/* --- Fork. --- */

static void parent_and_child_change_their_own_code(void)
{
    struct random random = random_for(11, 0);
    unsigned tactics[5];
    int status;
    prepare(11, NULL);
    for (unsigned i = 0; i < site_count; i += 3) {
        const char *refusal;
        make_one(sites[i], &refusal);
    }
    pid_t child = fork();
    /* Each makes and undoes what the other does not. */
    uint64_t half = child ? 0 : CODE_BYTES / 2;
    expect_all(tactics);
    for (unsigned round = 0; round < 100; round++) {
        const char *refusal;
        uint64_t start = (uint64_t)(uintptr_t)code + half;
        make_one(sites[(child ? 0 : site_count / 2) + random_below(&random, site_count / 2)], &refusal);
        if (round % 10 == 0)
            EXPECT(hot_undo(start + random_below(&random, CODE_BYTES / 2), 50, &builder, NULL) == SEGUE_OK);
        if (round % 25 == 0)
            EXPECT(hot_collect(hot_retirement(), NULL, NULL) == SEGUE_OK);
        expect_all(tactics);
    }
    if (!child)
        _exit(0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    expect_all(tactics);
    EXPECT(hot_undo(0, UINT64_MAX, NULL, NULL) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
}

/* --- Threads. --- */

static bool stop;

static void *run_all(void *context)
{
    uint64_t *runs = context;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (unsigned i = 0; i < FUNCTIONS; i++, __atomic_fetch_add(runs, 1, __ATOMIC_RELAXED))
            EXPECT(run_function(i) == expected[i]);
    return NULL;
}

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* On a busy machine a thread may not have had its turn when the time is over. */
static bool has_run(const uint64_t *runs)
{
    return __atomic_load_n(runs, __ATOMIC_RELAXED) > FUNCTIONS;
}

static void flipping(void)
{
    struct random random = random_for(12, 0);
    const char *torture = getenv("SEGUE_TORTURE");
    uint64_t runs[2] = {0}, until = milliseconds() + (torture ? 1000 * (uint64_t)atoi(torture) : 300);
    pthread_t threads[2];
    unsigned rounds = 0;
    take_traps();
    prepare(12, NULL);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(pthread_create(&threads[i], NULL, run_all, &runs[i]) == 0);
    block_signals();
    for (; milliseconds() < until || rounds <= 10 || !has_run(&runs[0]) || !has_run(&runs[1]); rounds++) {
        struct hot_request requests[16];
        unsigned count = 1 + random_below(&random, 16), first = random_below(&random, site_count - 16);
        for (unsigned i = 0; i < count; i++)
            requests[i].address = sites[first + i];
        EXPECT(hot_make(requests, count, &builder) == SEGUE_OK);
        if (rounds % 3 == 0)
            EXPECT(hot_undo(sites[random_below(&random, site_count)], 64, rounds % 2 ? &builder : NULL, NULL) ==
                   SEGUE_OK);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    unsigned tactics[5];
    expect_all(tactics);
}

static void threads_run_on_while_sites_change(void **state)
{
    (void)state;
    if (!can_serialise())
        skip_if("this kernel cannot serialise threads");
    in_child(flipping);
}

/* --- Threads that meet the limits. --- */

#define MEMORY_LIMIT (24u * 4096)
#define MAPPINGS_LIMIT 40u
static unsigned made_by_threads;

static void make_some(struct random *random)
{
    struct hot_request requests[8];
    unsigned first = random_below(random, site_count - 8);
    for (unsigned i = 0; i < 8; i++)
        requests[i].address = sites[first + i];
    enum segue_status status = hot_make(requests, 8, &builder);
    EXPECT(status == SEGUE_OK || status == SEGUE_BUSY);
    for (unsigned i = 0; status == SEGUE_OK && i < 8; i++) {
        EXPECT(requests[i].status == SEGUE_OK || requests[i].status == SEGUE_EXISTS || requests[i].refusal ||
               requests[i].status == SEGUE_BUSY);
        __atomic_fetch_add(&made_by_threads, requests[i].status == SEGUE_OK, __ATOMIC_RELAXED);
    }
}

static void *make_and_run(void *context)
{
    struct random random = random_for(13, *(unsigned *)context);
    block_signals();
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        make_some(&random);
        if (random_below(&random, 4) == 0)
            hot_undo(sites[random_below(&random, site_count)], 16, NULL, NULL);
        unsigned i = random_below(&random, FUNCTIONS);
        EXPECT(run_function(i) == expected[i]);
    }
    return NULL;
}

static bool is_at_a_limit(void)
{
    struct chunks_used used = chunks_used();
    return used.memory + 4096 > MEMORY_LIMIT || used.mappings + 5 > MAPPINGS_LIMIT;
}

/* Each undone site leaves its body, so both limits are reached. */
static void limits_under_threads(void)
{
    unsigned numbers[3] = {0, 1, 2}, tactics[5];
    pthread_t threads[3];
    take_traps();
    prepare(13, &(const struct hot_limits){
                    .most_sites = 4096, .most_memory = MEMORY_LIMIT, .most_mappings = MAPPINGS_LIMIT});
    uint64_t until = milliseconds() + 300;
    for (unsigned i = 0; i < 3; i++)
        EXPECT(pthread_create(&threads[i], NULL, make_and_run, &numbers[i]) == 0);
    while (milliseconds() < until || __atomic_load_n(&made_by_threads, __ATOMIC_RELAXED) <= 100 || !is_at_a_limit()) {
        struct chunks_used used = chunks_used();
        EXPECT(used.memory <= MEMORY_LIMIT && used.mappings <= MAPPINGS_LIMIT);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    expect_all(tactics);
    block_signals();
    EXPECT(hot_prepare(&(const struct hot_limits){0}) == SEGUE_OK);
    EXPECT(make_all() > 0);
    expect_all(tactics);
}

static void limits_hold_while_threads_make_sites_hot(void **state)
{
    (void)state;
    if (!can_serialise())
        skip_if("this kernel cannot serialise threads");
    in_child(limits_under_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(parent_and_child_change_their_own_code),
        cmocka_unit_test(threads_run_on_while_sites_change),
        cmocka_unit_test(limits_hold_while_threads_make_sites_hot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
