/* suspend.c: threads that are stopped, shown, scanned and resumed on FreeBSD, where each stops itself in the handler of
 * the library's signal: in a program's code, in a policy, at any instruction of a step; and threads that block it. */
#if !defined(__FreeBSD__)
#error "suspend.c is specific to FreeBSD"
#endif

#include "fixture.h"

#include <pthread.h>
#include <pthread_np.h>
#include <segue/mutator.h>
#include <segue/suspend.h>
#include <unistd.h>

#define FOREVER UINT64_MAX
#define MARK ((uintptr_t)0x5e60e012)

static volatile uint32_t go, has_ended;
static volatile uint32_t loops;
/* The thread's number, once it is there. */
static volatile int number;

static pthread_t begin_thread(void *(*function)(void *argument), void *argument)
{
    pthread_t thread;
    go = has_ended = 0;
    number = 0;
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    while (!number)
        usleep(1000);
    return thread;
}

static void end_thread(pthread_t thread)
{
    go = 1;
    pthread_join(thread, NULL);
}

static struct segue_suspension stop_it(void)
{
    struct segue_suspension suspension = {.thread = (segue_thread_id)number};
    assert_int_equal(segue_thread_suspend(&suspension, FOREVER), SEGUE_OK);
    return suspension;
}

static int look_for(void *closure, const void *base, const void *limit)
{
    uintptr_t *search = closure;
    for (const uintptr_t *at = base; at < (const uintptr_t *)limit; at++)
        search[1] += *at == search[0];
    return 0;
}

static bool shows(const struct segue_mutator *context, uintptr_t word)
{
    uintptr_t search[2] = {word, 0};
    assert_int_equal(segue_mutator_check(context), SEGUE_OK);
    assert_int_equal(segue_mutator_scan(context, look_for, search), 0);
    return search[1] > 0;
}

/* ---- a thread in its own code ---- */

static void *spin(void *argument)
{
    static const uint32_t vector[8] = {1, 2, 3, (uint32_t)MARK + 1, 5, 6, 7, (uint32_t)MARK + 2};
    (void)argument;
    uintptr_t mark = MARK;
    number = pthread_getthreadid_np();
    __asm__ volatile("vmovdqu %[vector], %%ymm6\n"
                     "1:\n\tincl %[loops]\n\tcmpl $0, %[go]\n\tje 1b\n\tvzeroupper"
                     : [loops] "+m"(loops), "+D"(mark)
                     : [go] "m"(go), [vector] "m"(vector)
                     : "xmm6", "memory", "cc");
    return NULL;
}

static void thread_is_shown_and_stands_still(void **state)
{
    (void)state;
    pthread_t thread = begin_thread(spin, NULL);
    usleep(10000);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    struct segue_suspension one = stop_it(), two = stop_it();
    uint32_t seen = loops;
    usleep(20000);
    assert_int_equal(loops, seen);
    assert_int_equal(one.context.regs.rdi, MARK);
    assert_true(one.context.regs.rip - (uintptr_t)spin < 256);
    assert_int_equal(one.context.regs.rsp, two.context.regs.rsp);
    assert_int_equal(segue_mutator_sp(&one.context), one.context.regs.rsp);
    assert_int_equal(one.context.kind, SEGUE_MUTATOR_THREAD);
    assert_false(one.context.in_fault);
    assert_true(shows(&one.context, MARK));
#if defined(__x86_64__)
    assert_int_equal(one.context.red_zone, 128);
    assert_true(shows(&one.context, (MARK + 1) << 32 | 3));
    if (one.context.xstate.features & 4)
        assert_true(shows(&one.context, (MARK + 2) << 32 | 7));
#else
    assert_true(shows(&one.context, MARK + 1));
    if (one.context.xstate.features & 4)
        assert_true(shows(&one.context, MARK + 2));
#endif
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
    volatile uintptr_t own[2] = {MARK + 7, 0};
    (void)context;
    (void)event;
    asked++;
    number = pthread_getthreadid_np();
    while (!go)
        usleep(1000);
    own[1] = own[0];
    return SEGUE_STEP;
}

static void *access_once(void *argument)
{
    __asm__ volatile("movl %0, (%1)" : : "r"((uint32_t)MARK), "D"(argument) : "memory");
    return NULL;
}

static void thread_in_a_policy_is_shown_as_the_program(void **state)
{
    volatile uint8_t *cell = begin_filled(wait_in_the_policy);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_once, (void *)(uintptr_t)cell);
    struct segue_suspension suspension = stop_it();
    const struct segue_mutator *context = &suspension.context;
    assert_true(context->in_fault);
    assert_true(context->regs.rip - (uintptr_t)access_once < 256);
    assert_int_equal(context->regs.rdi, (uintptr_t)cell);
    assert_true(shows(context, (uintptr_t)cell));
    assert_true(shows(context, MARK + 7));
    assert_true(context->private_.stack < context->private_.stack_end);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    end_thread(thread);
    /* The verdict may not hold after the suspension. */
    assert_int_equal(asked, 2);
    assert_int_equal(*(uint32_t *)(void *)alias(), MARK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- a thread that is always in the handler ---- */

#define ROUNDS 5000u

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* Words that one instruction writes, by way of a copy. */
static void *access_much(void *argument)
{
    volatile uint32_t *cell = argument;
    number = pthread_getthreadid_np();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t four[4] = {i, i, i, i};
        __asm__ volatile("movdqu %1, %%xmm6\n\tmovdqu %%xmm6, (%0)" : : "r"(cell), "m"(four) : "xmm6", "memory");
        __atomic_fetch_add(&cell[4], 1, __ATOMIC_RELAXED);
    }
    has_ended = 1;
    return NULL;
}

/* No step is seen half done, and none is lost or done twice. */
static void thread_is_stopped_between_steps(void **state)
{
    volatile uint8_t *cell = begin_filled(step);
    const volatile uint32_t *words = (const volatile uint32_t *)(uintptr_t)alias();
    const uint32_t first = words[4];
    unsigned inside = 0, suspensions = 0;
    (void)state;
    memset(alias(), 0, 16);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_much, (void *)(uintptr_t)cell);
    while (!has_ended) {
        struct segue_suspension suspension = {.thread = (segue_thread_id)number};
        enum segue_status status = segue_thread_suspend(&suspension, FOREVER);
        if (status == SEGUE_NOT_FOUND)
            break;
        assert_int_equal(status, SEGUE_OK);
        assert_int_equal(words[0], words[3]);
        inside += suspension.context.in_fault;
        suspensions++;
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    }
    end_thread(thread);
    print_message("%u suspensions, %u of them in the handler\n", suspensions, inside);
    assert_true(suspensions > 0);
    assert_int_equal(words[4] - first, ROUNDS);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- answers ---- */

static void *block_all(void *argument)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return spin(argument);
}

static void thread_that_blocks_all_signals_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(block_all, NULL);
    struct segue_suspension suspension = {.thread = (segue_thread_id)number};
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_SYSTEM);
    uint32_t seen = loops;
    while (loops == seen)
        usleep(1000);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void suspension_has_its_answers(void **state)
{
    struct segue_suspension suspension = {.thread = segue_thread_self()};
    const struct segue_suspend_options with_signal = {.signal = 24};
    (void)state;
    assert_int_equal(segue_thread_self(), pthread_getthreadid_np());
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_install(&with_signal), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_OK);
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_INVALID);
    pthread_t thread = begin_thread(spin, NULL);
    suspension.thread = (segue_thread_id)number;
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
        cmocka_unit_test(thread_that_blocks_all_signals_is_given_up),
        cmocka_unit_test(suspension_has_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
