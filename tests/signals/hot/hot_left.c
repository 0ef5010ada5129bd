/* hot_left.c: what hot sites leave behind: a policy that its thread has left by siglongjmp, and the stack of the
 * handler that makes a site hot. Each case runs in a child. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/hot/hot.h"
#include "signals/threads/thread.h"
#include "tests/support/cases.h"

#define SIZE (4u * PAGE)

uint64_t sites_sum(void *at, uint64_t count), sites_load_three(void *at), sites_load_four(void *at);

static struct segue_mapping memory;

static void begin(struct segue_region region)
{
    region.window = segue_mapping_window(&memory);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
}

/* ---- a policy that is left ---- */

static sigjmp_buf outside;
static volatile int has_left, may_end;

static void leave(int number)
{
    (void)number;
    siglongjmp(outside, 1);
}

static SEGUE_HOT_POLICY enum segue_verdict leaving_policy(void *context, const struct segue_hot_event *event)
{
    volatile int *is_to_leave = context;
    (void)event;
    if (*is_to_leave) {
        *is_to_leave = 0;
        raise(SIGUSR1);
    }
    return SEGUE_STEP;
}

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

static volatile int leaves;
/* How often. Each time the policy is on the same piece of the stack. */
static int times_to_leave = 1;

/* Runs on without a call, and has an alternate stack, so that nothing is written over the policy's stack. */
static void *leave_policy(void *unused)
{
    volatile int left = 0;
    assert_int_equal(segue_thread_attach(), SEGUE_OK);
    sites_sum(memory.memory, 8);
    leaves = 1;
    if (sigsetjmp(outside, 1))
        left++;
    if (left < times_to_leave)
        sites_sum(memory.memory, 8);
    has_left = 1;
    while (!may_end)
        ;
    return unused;
}

static int a_policy_that_is_left_delays_no_removal(void)
{
    pthread_t thread;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    begin((struct segue_region){.policy = policy,
                                .hot_policy = leaving_policy,
                                .context = (void *)(uintptr_t)&leaves,
                                .flags = SEGUE_REGION_HOT});
    signal(SIGUSR1, leave);
    assert_int_equal(pthread_create(&thread, NULL, leave_policy, NULL), 0);
    while (!has_left)
        sched_yield();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    may_end = 1;
    pthread_join(thread, NULL);
    return 0;
}

static int policies_that_are_left_again_and_again_delay_no_removal(void)
{
    times_to_leave = 1000;
    return a_policy_that_is_left_delays_no_removal();
}

/* ---- where a thread waits ---- */

static volatile int thread_number_of_waiter;

static void *wait_in_call(void *unused)
{
    thread_number_of_waiter = platform_thread_id();
    platform_sleep(UINT64_C(600000000000));
    return unused;
}

static void *run(void *unused)
{
    thread_number_of_waiter = platform_thread_id();
    while (!may_end)
        ;
    return unused;
}

/* Where it does not come to that, the case's alarm ends the wait. */
static void wait_until_it_is(bool in_call)
{
    while (!thread_number_of_waiter || look_is_in_call(thread_number_of_waiter) != in_call)
        platform_sleep(100000);
}

static int a_thread_in_a_system_call_is_known(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_in_call, NULL), 0);
    wait_until_it_is(true);
    thread_number_of_waiter = 0;
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
    while (!thread_number_of_waiter)
        sched_yield();
    for (unsigned i = 0; i < 100; i++)
        assert_false(look_is_in_call(thread_number_of_waiter));
    may_end = 1;
    pthread_join(thread, NULL);
    wait_until_it_is(false);
    return 0;
}

/* ---- the handler's stack ---- */

#define STACK 65536u
#define PAINT 0xa5

/* How much of the alternate stack a fault uses, the kernel's frame included. */
static size_t depth_of(uint64_t (*function)(void *at))
{
    static uint8_t stack[STACK] __attribute__((aligned(PAGE)));
    const stack_t wanted = {.ss_sp = stack, .ss_size = STACK};
    size_t lowest = 0;
    memset(stack, PAINT, STACK);
    assert_int_equal(sigaltstack(&wanted, NULL), 0);
    function(memory.memory);
    while (lowest < STACK && stack[lowest] == PAINT)
        lowest++;
    return STACK - lowest;
}

static int making_a_site_hot_takes_no_more_stack_than_is_said(void)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_NO_ATTACH};
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    begin((struct segue_region){.flags = 0});
    size_t stepped = depth_of(sites_load_three);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    begin((struct segue_region){.flags = SEGUE_REGION_HOT});
    size_t first = depth_of(sites_load_four), then = depth_of(sites_load_four);
    /* It has become hot, and faults no more. */
    assert_int_equal(then, 0);
    print_message("stepped %zu, made hot %zu\n", stepped, first);
    assert_true(first > stepped);
    assert_true(first - stepped + THREAD_OWN_STACK <= HOT_STACK);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(a_policy_that_is_left_delays_no_removal)                                                                         \
    X(policies_that_are_left_again_and_again_delay_no_removal)                                                         \
    X(a_thread_in_a_system_call_is_known)                                                                              \
    X(making_a_site_hot_takes_no_more_stack_than_is_said)

CASES_MAIN(EACH_CASE)
