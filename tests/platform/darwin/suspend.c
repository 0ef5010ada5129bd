/* suspend.c: threads that are stopped, shown, scanned and resumed on macOS: in a program's code, in a policy, and at
 * any instruction of a step. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "suspend.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/suspended.h"

#define MARK UINT64_C(0x5e60e0123456789a)

static volatile uint32_t loops;

static segue_thread_id system_number(void)
{
    return pthread_mach_thread_np(pthread_self());
}

/* ---- a thread in its own code ---- */

THREAD(spin)
{
    static const uint64_t vector[4] = {MARK + 1, 2, 3, MARK + 4};
    (void)argument;
    number = segue_thread_self();
    __asm__ volatile("vmovdqu %[vector], %%ymm9\n\tmovq %[mark], %%r13\n\tmovl $1, %[is_there]\n"
                     "1:\n\tincl %[loops]\n\tcmpl $0, %[go]\n\tje 1b\n\tvzeroupper"
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
    struct segue_suspension one = stop_it(), two = stop_it();
    assert_int_equal(one.context.regs.r13, MARK);
    assert_true(one.context.regs.rip - (uintptr_t)spin < 256);
    assert_int_equal(one.context.red_zone, 128);
    assert_true(count_of(&one.context, MARK) >= 1);
    assert_true(count_of(&one.context, MARK + 1) >= 1);
    if (one.context.xstate.features & 4)
        assert_true(count_of(&one.context, MARK + 4) >= 1);
    resume_twice(&one, &two, &loops);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

/* ---- a thread in a policy ---- */

THREAD(access_once)
{
    __asm__ volatile("vpcmpeqd %%xmm9, %%xmm9, %%xmm9\n\tmovq %0, %%r13\n\tmovq %%r13, (%1)\n\tvzeroupper"
                     :
                     : "r"(MARK), "r"(argument)
                     : "r13", "xmm9", "memory");
    return NULL;
}

static void thread_in_a_policy_is_shown_as_the_program(void **state)
{
    volatile uint64_t *cell = begin(wait_in_the_policy);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    pthread_t thread = begin_thread(access_once, (void *)(uintptr_t)cell);
    struct segue_suspension suspension = stop_it();
    const struct segue_mutator *context = &suspension.context;
    assert_true(context->in_fault);
    assert_true(context->regs.rip - (uintptr_t)access_once < 256);
    assert_int_equal(context->regs.r13, MARK);
    assert_true(count_of(context, UINT64_MAX) >= 2);
    assert_true(count_of(context, OWN_WORD) >= 1);
    assert_true(context->private_.stack < context->private_.stack_end);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    end_thread(thread);
    /* The verdict may not hold after the suspension. */
    assert_int_equal(asked, 2);
    assert_int_equal(*(uint64_t *)mapping.alias, MARK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_is_shown_and_stands_still),
        cmocka_unit_test(thread_in_a_policy_is_shown_as_the_program),
        cmocka_unit_test(thread_is_stopped_between_steps),
        cmocka_unit_test(suspended_threads_registers_are_updated),
        cmocka_unit_test(suspension_has_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
