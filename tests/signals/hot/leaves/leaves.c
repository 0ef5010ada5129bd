/* leaves.c: hot policies that change few registers: which ones are found, and what they are asked. */
#include "tests/signals/hot/hot_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "signals/hot/ask/leaf.h"

#define EACH_POLICY(X)                                                                                                 \
    X(leaf_counts, QUICK_LEAF_BLIND)                                                                                   \
    X(leaf_branches, QUICK_LEAF)                                                                                       \
    X(leaf_waits, QUICK_LEAF_BLIND)                                                                                    \
    X(leaf_looks_after_a_jump, QUICK_LEAF)                                                                             \
    X(leaf_compares_its_event, QUICK_LEAF)                                                                             \
    X(leaf_of_three_loses, QUICK_LEAF_OF_THREE)                                                                        \
    X(other_loses, QUICK_FULLY)                                                                                        \
    X(other_keeps, QUICK_FULLY)                                                                                        \
    X(other_calls, QUICK_FULLY)                                                                                        \
    X(other_jumps, QUICK_FULLY)                                                                                        \
    X(other_loses_r8, QUICK_FULLY)                                                                                     \
    X(other_loses_rsi, QUICK_FULLY)                                                                                    \
    X(other_loses_rbx_after_a_jump, QUICK_FULLY)                                                                       \
    X(other_copies, QUICK_FULLY)                                                                                       \
    X(other_sets_direction, QUICK_FULLY)                                                                               \
    X(other_pairs, QUICK_FULLY)                                                                                        \
    X(other_traps, QUICK_FULLY)                                                                                        \
    X(other_asks_system, QUICK_FULLY)                                                                                  \
    X(other_is_long, QUICK_FULLY)
#define DECLARE(name, kind) extern segue_hot_policy name;
EACH_POLICY(DECLARE)

static enum segue_verdict ordinary(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* Of a policy: counts, or "it is inside" and "it may return". */
static volatile union {
    uint64_t counts[2];
    struct {
        uint32_t is_inside, may_return;
    } wait;
} shared;

static struct segue_region region_asking(segue_hot_policy *policy)
{
    struct segue_region region = region_with(SEGUE_REGION_HOT_GENERAL);
    region.policy = ordinary;
    region.hot_policy = policy;
    region.context = (void *)(uintptr_t)&shared;
    return region;
}

static int leaves_are_found(void)
{
    make_memory();
    begin_with(0);
#define CHECK(name, kind)                                                                                              \
    if (leaf_kind(name) != (kind))                                                                                     \
        fail_msg("%s: %d, not %d", #name, leaf_kind(name), kind);
    EACH_POLICY(CHECK)
    return 0;
}

/* Such code may become other code. */
static int code_that_may_change_is_no_leaf(void)
{
    uint8_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    segue_hot_policy *policy;
    assert_ptr_not_equal(code, MAP_FAILED);
    memcpy(code, (const uint8_t[]){0x31, 0xc0, 0xc3}, 3);
    memcpy(&policy, &code, sizeof policy);
    make_memory();
    begin_with(0);
    assert_int_equal(leaf_kind(policy), QUICK_FULLY);
    return 0;
}

static uint64_t ask_about_some(uint64_t wanted)
{
    uint64_t before = shared.counts[0] + shared.counts[1];
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    return shared.counts[0] + shared.counts[1] - before;
}

/* The bodies of one kind of policy are not used for another one. */
static int updates_change_the_kind(void)
{
    static segue_hot_policy *const policies[] = {leaf_counts,   other_loses, leaf_of_three_loses,
                                                 leaf_branches, other_loses, leaf_of_three_loses};
    make_memory();
    struct segue_region region = region_asking(leaf_counts);
    uint64_t wanted = sites_sum(memory.alias, 100);
    begin(&region);
    ask_about_some(wanted);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        region.hot_policy = policies[i];
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        ask_about_some(wanted);
        assert_int_equal(ask_about_some(wanted), 1000);
    }
    return 0;
}

/* The first access of a thread asks the ordinary policy. */
static void *access_twice(void *unused)
{
    sites_load_three(memory.memory);
    sites_load_three(memory.memory);
    return unused;
}

static volatile int is_removed;

static void *remove_region(void *unused)
{
    is_removed = segue_region_remove(memory.memory) == SEGUE_OK;
    return unused;
}

static pthread_t wait_in_policy(void)
{
    pthread_t thread;
    make_memory();
    struct segue_region region = region_asking(leaf_waits);
    shared.wait.may_return = 1;
    begin(&region);
    for (unsigned i = 0; i < 10; i++)
        sites_load_three(memory.memory);
    shared.wait.may_return = 0;
    assert_int_equal(pthread_create(&thread, NULL, access_twice, NULL), 0);
    while (!shared.wait.is_inside)
        sched_yield();
    return thread;
}

static int remover_waits_for_a_leaf(void)
{
    const struct timespec a_while = {.tv_nsec = 50000000};
    pthread_t thread = wait_in_policy(), remover;
    assert_int_equal(pthread_create(&remover, NULL, remove_region, NULL), 0);
    nanosleep(&a_while, NULL);
    assert_false(is_removed);
    shared.wait.may_return = 1;
    pthread_join(remover, NULL);
    pthread_join(thread, NULL);
    assert_true(is_removed);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(leaves_are_found)                                                                                                \
    X(code_that_may_change_is_no_leaf) X(updates_change_the_kind) X(remover_waits_for_a_leaf)

CASES_MAIN(EACH_CASE)
