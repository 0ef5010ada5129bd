/* suspend.c: threads that are stopped, shown, scanned and resumed on macOS: in a program's code, in a policy, and at
 * any instruction of a step. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "suspend.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/fixture.h"

#include <pthread.h>
#include <segue/suspend.h>
#include <unistd.h>

#define FOREVER UINT64_MAX
#define MARK UINT64_C(0x5e60e0123456789a)

static volatile uint32_t go, is_there, has_ended;
static volatile uint64_t loops;

static struct segue_suspension stop(pthread_t thread)
{
    struct segue_suspension suspension = {.thread = pthread_mach_thread_np(thread)};
    assert_int_equal(segue_thread_suspend(&suspension, FOREVER), SEGUE_OK);
    return suspension;
}

static pthread_t begin_thread(void *(*function)(void *argument), void *argument)
{
    pthread_t thread;
    go = is_there = 0;
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    while (!is_there)
        usleep(1000);
    return thread;
}

static void end_thread(pthread_t thread)
{
    go = 1;
    pthread_join(thread, NULL);
}

/* ---- scans ---- */

struct search {
    uint64_t word;
    unsigned found;
};

static int look_for(void *closure, const void *base, const void *limit)
{
    struct search *search = closure;
    for (const uint64_t *at = base; at < (const uint64_t *)limit; at++)
        search->found += *at == search->word;
    return 0;
}

static unsigned count_of(const struct segue_mutator *context, uint64_t word)
{
    struct search search = {word, 0};
    assert_int_equal(segue_mutator_check(context), SEGUE_OK);
    assert_int_equal(segue_mutator_scan(context, look_for, &search), 0);
    return search.found;
}

/* ---- a thread in its own code ---- */

static void *spin(void *argument)
{
    static const uint64_t vector[4] = {MARK + 1, 2, 3, MARK + 4};
    (void)argument;
    __asm__ volatile("vmovdqu %[vector], %%ymm9\n\tmovq %[mark], %%r13\n\tmovl $1, %[is_there]\n"
                     "1:\n\tincq %[loops]\n\tcmpl $0, %[go]\n\tje 1b\n\tvzeroupper"
                     : [loops] "+m"(loops), [is_there] "=m"(is_there)
                     : [go] "m"(go), [vector] "m"(vector), [mark] "r"(MARK)
                     : "r13", "xmm9", "memory", "cc");
    return NULL;
}

static void thread_is_shown_and_stands_still(void **state)
{
    pthread_t thread = begin_thread(spin, NULL);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    struct segue_suspension one = stop(thread), two = stop(thread);
    uint64_t seen = loops;
    usleep(20000);
    assert_int_equal(loops, seen);
    assert_int_equal(one.context.regs.r13, MARK);
    assert_true(one.context.regs.rip - (uintptr_t)spin < 256);
    assert_int_equal(one.context.regs.rsp, two.context.regs.rsp);
    assert_int_equal(segue_mutator_sp(&one.context), one.context.regs.rsp);
    assert_int_equal(one.context.kind, SEGUE_MUTATOR_THREAD);
    assert_int_equal(one.context.red_zone, 128);
    assert_false(one.context.in_fault);
    assert_true(count_of(&one.context, MARK) >= 1);
    assert_true(count_of(&one.context, MARK + 1) >= 1);
    if (one.context.xstate.features & 4)
        assert_true(count_of(&one.context, MARK + 4) >= 1);
    /* As often as it was suspended. */
    assert_int_equal(segue_thread_resume(&one), SEGUE_OK);
    usleep(20000);
    assert_int_equal(loops, seen);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_BUSY);
    assert_int_equal(segue_thread_resume(&two), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&two), SEGUE_NOT_FOUND);
    while (loops == seen)
        usleep(1000);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

/* ---- a thread in a policy ---- */

static enum segue_verdict wait_in_the_policy(void *context, const struct segue_event *event)
{
    volatile uint64_t own[2] = {MARK + 7, 0};
    (void)context;
    (void)event;
    asked++;
    is_there = 1;
    while (!go)
        usleep(1000);
    own[1] = own[0];
    return SEGUE_STEP;
}

static void *access_once(void *argument)
{
    __asm__ volatile("vpcmpeqd %%xmm9, %%xmm9, %%xmm9\n\tmovq %0, %%r13\n\tmovq %%r13, (%1)\n\tvzeroupper"
                     :
                     : "r"(MARK), "r"(argument)
                     : "r13", "xmm9", "memory");
    return NULL;
}

static void thread_in_a_policy_is_shown_as_the_program(void **state)
{
    volatile uint64_t *cell = begin_filled(wait_in_the_policy);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_once, (void *)(uintptr_t)cell);
    struct segue_suspension suspension = stop(thread);
    const struct segue_mutator *context = &suspension.context;
    assert_true(context->in_fault);
    assert_true(context->regs.rip - (uintptr_t)access_once < 256);
    assert_int_equal(context->regs.r13, MARK);
    assert_true(count_of(context, UINT64_MAX) >= 2);
    assert_true(count_of(context, MARK + 7) >= 1);
    assert_true(context->private_.stack < context->private_.stack_end);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    end_thread(thread);
    /* The verdict may not hold after the suspension. */
    assert_int_equal(asked, 2);
    assert_int_equal(*(uint64_t *)mapping.alias, MARK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- a thread that is always in the handler ---- */

#define ROUNDS 20000u

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* Two words that one instruction writes, by way of a copy. */
static void *access_much(void *argument)
{
    volatile uint64_t *cell = argument;
    is_there = 1;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t pair[2] = {i, i};
        __asm__ volatile("movdqu %1, %%xmm9\n\tmovdqu %%xmm9, (%0)" : : "r"(cell), "m"(pair) : "xmm9", "memory");
        __atomic_fetch_add(&cell[2], 1, __ATOMIC_RELAXED);
    }
    has_ended = 1;
    return NULL;
}

/* No step is seen half done, and none is lost or done twice. */
static void thread_is_stopped_between_steps(void **state)
{
    volatile uint64_t *cell = begin_filled(step);
    const volatile uint64_t *alias = mapping.alias;
    const uint64_t first = alias[2];
    unsigned inside = 0, suspensions = 0;
    (void)state;
    memset(mapping.alias, 0, 16);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_much, (void *)(uintptr_t)cell);
    while (!has_ended) {
        struct segue_suspension suspension = {.thread = pthread_mach_thread_np(thread)};
        enum segue_status status = segue_thread_suspend(&suspension, FOREVER);
        if (status == SEGUE_NOT_FOUND)
            break;
        assert_int_equal(status, SEGUE_OK);
        assert_int_equal(alias[0], alias[1]);
        inside += suspension.context.in_fault;
        suspensions++;
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    }
    end_thread(thread);
    print_message("%u suspensions, %u of them in the handler\n", suspensions, inside);
    assert_true(suspensions > 0);
    assert_int_equal(alias[2] - first, ROUNDS);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- answers ---- */

static void suspension_has_its_answers(void **state)
{
    struct segue_suspension suspension = {.thread = segue_thread_self()};
    const struct segue_suspend_options with_signal = {.signal = 24};
    (void)state;
    assert_int_equal(segue_thread_self(), pthread_mach_thread_np(pthread_self()));
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_install(&with_signal), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_OK);
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_INVALID);
    pthread_t thread = begin_thread(spin, NULL);
    suspension.thread = pthread_mach_thread_np(thread);
    end_thread(thread);
    assert_int_equal(segue_thread_suspend(&suspension, FOREVER), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_is_shown_and_stands_still),
        cmocka_unit_test(thread_in_a_policy_is_shown_as_the_program),
        cmocka_unit_test(thread_is_stopped_between_steps),
        cmocka_unit_test(suspension_has_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
