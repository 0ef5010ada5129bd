/* hot_removers.c: removers and updates of a region wait for the threads that are in its hot policy, however many
 * policies those are in and wherever their stacks stand. */
#include "policies_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "signals/regions/region.h"

static struct segue_mapping outer_memory, inner_memory;
static volatile int in_outer, in_inner, leave_outer, leave_inner, removed;

static SEGUE_HOT_POLICY enum segue_verdict waiting_policy(void *context, const struct segue_hot_event *event)
{
    bool is_inner = event->region->window.base == (uint64_t)(uintptr_t)inner_memory.memory;
    volatile int *in = is_inner ? &in_inner : &in_outer, *leave = is_inner ? &leave_inner : &leave_outer;
    *(volatile uint64_t *)context += 1;
    *in = *leave == 0;
    while (!*leave)
        continue;
    *in = 0;
    return SEGUE_STEP;
}

static struct segue_region region_with_waiting_policy(uint32_t flags)
{
    struct segue_region region = region_with_policy(flags);
    region.hot_policy = waiting_policy;
    return region;
}

static void access_inner(int number)
{
    (void)number;
    sites_load_three(inner_memory.memory);
}

/* The first access of a thread asks the ordinary policy. */
static void *access_outer(void *unused)
{
    sites_load_three(outer_memory.memory);
    sites_load_three(outer_memory.memory);
    return unused;
}

/* The same on a stack that is aligned to nothing, below the red zone. */
static void *access_outer_on_an_odd_stack(void *unused)
{
    void *from = outer_memory.memory;
    sites_load_three(from);
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "leaq -129(%%rsp), %%rsp\n\t"
                     "call *%1\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(from)
                     : "r"(sites_load_three)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    return unused;
}

static void *remove_outer(void *unused)
{
    removed = segue_region_remove(outer_memory.memory) == SEGUE_OK;
    return unused;
}

/* The remover waits for the outer policy, though the thread is in another one inside it. */
static int remover_waits_for_outer_policies(uint32_t flags)
{
    struct segue_mapping mappings[2];
    pthread_t thread, remover;
    const struct timespec a_while = {.tv_nsec = 50000000};
    leave_outer = leave_inner = 1;
    begin_many(mappings, 2, region_with_waiting_policy, flags);
    outer_memory = mappings[0];
    inner_memory = mappings[1];
    signal(SIGUSR2, access_inner);
    for (unsigned i = 0; i < 10; i++) {
        sites_load_three(outer_memory.memory);
        sites_load_three(inner_memory.memory);
    }
    leave_outer = leave_inner = 0;
    assert_int_equal(pthread_create(&thread, NULL, access_outer, NULL), 0);
    while (!in_outer)
        sched_yield();
    pthread_kill(thread, SIGUSR2);
    while (!in_inner)
        sched_yield();
    assert_int_equal(pthread_create(&remover, NULL, remove_outer, NULL), 0);
    nanosleep(&a_while, NULL);
    assert_false(removed);
    leave_inner = 1;
    nanosleep(&a_while, NULL);
    assert_false(removed);
    assert_true(in_outer);
    leave_outer = 1;
    pthread_join(remover, NULL);
    pthread_join(thread, NULL);
    assert_true(removed);
    return 0;
}

static int remover_waits_for_quick_outer_policies(void)
{
    return remover_waits_for_outer_policies(SEGUE_REGION_HOT_GENERAL);
}

static int remover_waits_for_slow_outer_policies(void)
{
    return remover_waits_for_outer_policies(0);
}

static int remover_waits_for_a_policy_on_an_odd_stack(void)
{
    pthread_t thread, remover;
    const struct timespec a_while = {.tv_nsec = 50000000};
    leave_outer = 1;
    begin_many(&outer_memory, 1, region_with_waiting_policy, SEGUE_REGION_HOT_GENERAL);
    for (unsigned i = 0; i < 10; i++)
        sites_load_three(outer_memory.memory);
    leave_outer = 0;
    assert_int_equal(pthread_create(&thread, NULL, access_outer_on_an_odd_stack, NULL), 0);
    while (!in_outer)
        sched_yield();
    assert_int_equal(pthread_create(&remover, NULL, remove_outer, NULL), 0);
    nanosleep(&a_while, NULL);
    assert_false(removed);
    leave_outer = 1;
    pthread_join(thread, NULL);
    pthread_join(remover, NULL);
    assert_true(removed);
    return 0;
}

static void *update_outer(void *region)
{
    return segue_region_update(region) == SEGUE_NOT_FOUND ? NULL : region;
}

/* Both wait for the thread in the policy, and end in whatever order. */
static int removal_ends_an_update(void)
{
    static uint64_t other;
    pthread_t thread, updater, remover;
    const struct timespec a_while = {.tv_nsec = 50000000};
    void *wrong;
    leave_outer = 1;
    begin_many(&outer_memory, 1, region_with_waiting_policy, SEGUE_REGION_HOT_GENERAL);
    struct segue_region region = region_with_waiting_policy(SEGUE_REGION_HOT_GENERAL), found;
    region.context = &other;
    for (unsigned i = 0; i < 10; i++)
        sites_load_three(outer_memory.memory);
    leave_outer = 0;
    assert_int_equal(pthread_create(&thread, NULL, access_outer, NULL), 0);
    while (!in_outer)
        sched_yield();
    assert_int_equal(pthread_create(&updater, NULL, update_outer, &region), 0);
    while (!region_changes(region_at((uint64_t)(uintptr_t)memory.memory)))
        sched_yield();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(pthread_create(&remover, NULL, remove_outer, NULL), 0);
    nanosleep(&a_while, NULL);
    assert_false(removed);
    leave_outer = 1;
    pthread_join(thread, NULL);
    pthread_join(updater, &wrong);
    pthread_join(remover, NULL);
    assert_null(wrong);
    assert_true(removed);
    assert_int_equal(segue_region_find(memory.memory, &found), SEGUE_NOT_FOUND);
    /* The body still refers to the region's slot, which stays closed. */
    uint64_t before = asked;
    for (unsigned i = 0; i < 10; i++)
        sites_load_three(outer_memory.memory);
    assert_int_equal(asked, before);
    assert_int_equal(other, 0);
    return 0;
}

/* More policies inside one another than are looked at: from the outer one on, each is interrupted by a handler that
 * asks. */
#define NESTED 100
static volatile int nested;

static enum segue_verdict nested_policy(void *context, const struct segue_hot_event *event)
{
    (void)event;
    *(volatile uint64_t *)context += 1;
    if (leave_outer)
        return SEGUE_STEP;
    if (nested++ < NESTED)
        raise(SIGUSR2);
    else
        for (in_inner = 1; !leave_inner;)
            continue;
    return SEGUE_STEP;
}

static struct segue_region region_with_nested_policy(uint32_t flags)
{
    struct segue_region region = region_with_policy(flags);
    region.hot_policy = nested_policy;
    return region;
}

static int remover_waits_for_an_outer_policy_of_many(void)
{
    struct segue_mapping mappings[2];
    struct sigaction action = {.sa_handler = access_inner, .sa_flags = SA_NODEFER};
    pthread_t thread, remover;
    const struct timespec a_while = {.tv_nsec = 50000000};
    leave_outer = 1;
    begin_many(mappings, 2, region_with_nested_policy, 0);
    outer_memory = mappings[0];
    inner_memory = mappings[1];
    sigaction(SIGUSR2, &action, NULL);
    for (unsigned i = 0; i < 10; i++) {
        sites_load_three(outer_memory.memory);
        sites_load_three(inner_memory.memory);
    }
    leave_outer = 0;
    assert_int_equal(pthread_create(&thread, NULL, access_outer, NULL), 0);
    while (!in_inner)
        sched_yield();
    assert_int_equal(pthread_create(&remover, NULL, remove_outer, NULL), 0);
    nanosleep(&a_while, NULL);
    assert_false(removed);
    leave_outer = leave_inner = 1;
    pthread_join(remover, NULL);
    pthread_join(thread, NULL);
    assert_true(removed);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(remover_waits_for_an_outer_policy_of_many)                                                                       \
    X(remover_waits_for_quick_outer_policies)                                                                          \
    X(remover_waits_for_slow_outer_policies)                                                                           \
    X(remover_waits_for_a_policy_on_an_odd_stack)                                                                      \
    X(removal_ends_an_update)

CASES_MAIN(EACH_CASE)
