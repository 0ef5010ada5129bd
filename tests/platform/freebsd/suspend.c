/* suspend.c: threads that are stopped, shown, scanned and resumed on FreeBSD, where each stops itself in the handler of
 * the library's signal: in a program's code, in a policy, at any instruction of a step; and threads that block it. */
#if !defined(__FreeBSD__)
#error "suspend.c is specific to FreeBSD"
#endif

#include "tests/platform/ports/suspended.h"

#include <pthread_np.h>
#include <signal.h>

#define MARK ((uintptr_t)0x5e60e012)

static volatile uint32_t loops;

static segue_thread_id system_number(void)
{
    return (segue_thread_id)pthread_getthreadid_np();
}

/* ---- a thread in its own code ---- */

THREAD(spin)
{
    static const uint32_t vector[8] = {1, 2, 3, (uint32_t)MARK + 1, 5, 6, 7, (uint32_t)MARK + 2};
    (void)argument;
    uintptr_t mark = MARK;
    number = segue_thread_self();
    __asm__ volatile("vmovdqu %[vector], %%ymm6\n\tmovl $1, %[is_there]\n"
                     "1:\n\tincl %[loops]\n\tcmpl $0, %[go]\n\tje 1b\n\tvzeroupper"
                     : [loops] "+m"(loops), [is_there] "=m"(is_there), "+D"(mark)
                     : [go] "m"(go), [vector] "m"(vector)
                     : "xmm6", "memory", "cc");
    return NULL;
}

static void thread_is_shown_and_stands_still(void **state)
{
    (void)state;
    pthread_t thread = begin_thread(spin, NULL);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    struct segue_suspension one = stop_it(), two = stop_it();
    assert_int_equal(one.context.regs.rdi, MARK);
    assert_true(one.context.regs.rip - (uintptr_t)spin < 256);
    assert_true(count_of(&one.context, MARK) >= 1);
#if defined(__x86_64__)
    assert_int_equal(one.context.red_zone, 128);
    assert_true(count_of(&one.context, (MARK + 1) << 32 | 3) >= 1);
    if (one.context.xstate.features & 4)
        assert_true(count_of(&one.context, (MARK + 2) << 32 | 7) >= 1);
#else
    assert_true(count_of(&one.context, MARK + 1) >= 1);
    if (one.context.xstate.features & 4)
        assert_true(count_of(&one.context, MARK + 2) >= 1);
#endif
    resume_twice(&one, &two, &loops);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

/* ---- a thread in a policy ---- */

THREAD(access_once)
{
    __asm__ volatile("movl %0, (%1)" : : "r"((uint32_t)MARK), "D"(argument) : "memory");
    return NULL;
}

static void thread_in_a_policy_is_shown_as_the_program(void **state)
{
    volatile uint8_t *cell = begin(wait_in_the_policy);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_once, (void *)(uintptr_t)cell);
    struct segue_suspension suspension = stop_it();
    const struct segue_mutator *context = &suspension.context;
    assert_true(context->in_fault);
    assert_true(context->regs.rip - (uintptr_t)access_once < 256);
    assert_int_equal(context->regs.rdi, (uintptr_t)cell);
    assert_true(count_of(context, (uintptr_t)cell) >= 1);
    assert_true(count_of(context, OWN_WORD) >= 1);
    assert_true(context->private_.stack < context->private_.stack_end);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    end_thread(thread);
    /* The verdict may not hold after the suspension. */
    assert_int_equal(asked, 2);
    assert_int_equal(*(uint32_t *)(void *)alias(), MARK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- a thread that cannot be stopped ---- */

THREAD(block_all)
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
    struct segue_suspension suspension = {.thread = number};
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_SYSTEM);
    uint32_t seen = loops;
    while (loops == seen)
        usleep(1000);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_is_shown_and_stands_still),
        cmocka_unit_test(thread_in_a_policy_is_shown_as_the_program),
        cmocka_unit_test(thread_is_stopped_between_steps),
        cmocka_unit_test(suspended_threads_registers_are_updated),
        cmocka_unit_test(thread_that_blocks_all_signals_is_given_up),
        cmocka_unit_test(suspension_has_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
