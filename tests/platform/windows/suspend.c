/* suspend.c: threads that are stopped, shown, scanned and resumed on Windows: in a program's code, in a policy, and at
 * any instruction of a step; and the registers that a thread captures itself. */
#if !defined(_WIN32)
#error "tests/platform/windows/suspend.c is specific to Windows"
#endif

#include "decode/x86/xsave.h"
#include "fixture.h"
#include "tests/platform/ports/suspended.h"

#define MARK ((uintptr_t)UINT64_C(0x5e60e0123456789a))

static volatile uint32_t loops;

static segue_thread_id system_number(void)
{
    return GetCurrentThreadId();
}

/* ---- a thread in its own code ---- */

THREAD(spin)
{
    static const uintptr_t vector[32 / sizeof(void *)] = {MARK + 1, 2, 3, [32 / sizeof(void *) - 1] = MARK + 4};
    (void)argument;
    number = segue_thread_self();
    __asm__ volatile("vmovdqu %[vector], %%ymm7\n\tmov %[mark], " R(
                         "si") "\n\tmovl $1, %[is_there]\n"
                               "1:\n\tincl %[loops]\n\tcmpl $0, %[go]\n\tje 1b\n\tvzeroupper"
                     : [loops] "+m"(loops), [is_there] "=m"(is_there)
                     : [go] "m"(go), [vector] "m"(vector), [mark] "r"(MARK)
                     : CHANGED("si"), "xmm7", "memory", "cc");
    return 0;
}

static void thread_is_shown_and_stands_still(void **state)
{
    HANDLE thread = begin_thread(spin, NULL);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    struct segue_suspension one = stop_it(), two = stop_it();
    assert_int_equal(one.context.regs.rsi, MARK);
    assert_true(one.context.regs.rip - (uintptr_t)spin < 256);
    assert_int_equal(one.context.red_zone, 0);
    assert_true(count_of(&one.context, MARK) >= 1);
    assert_int_equal(count_of(&one.context, MARK + 1), 1);
    if (one.context.xstate.features & 4)
        assert_int_equal(count_of(&one.context, MARK + 4), 1);
    resume_twice(&one, &two, &loops);
    end_thread(thread);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

/* ---- a thread in a policy ---- */

THREAD(access_once)
{
    __asm__ volatile("vpcmpeqd %%xmm7, %%xmm7, %%xmm7\n\tmov %0, " R("si") "\n\tmov " R("si") ", (%1)\n\tvzeroupper"
                     :
                     : "r"(MARK), "r"(argument)
                     : CHANGED("si"), "xmm7", "memory");
    return 0;
}

static void thread_in_a_policy_is_shown_as_the_program(void **state)
{
    volatile uintptr_t *cell = begin(wait_in_the_policy);
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    HANDLE thread = begin_thread(access_once, (void *)(uintptr_t)cell);
    struct segue_suspension suspension = stop_it();
    const struct segue_mutator *context = &suspension.context;
    assert_true(context->in_fault);
    assert_true(context->regs.rip - (uintptr_t)access_once < 256);
    assert_int_equal(context->regs.rsi, MARK);
    assert_true(count_of(context, UINTPTR_MAX) >= 2);
    assert_true(count_of(context, OWN_WORD) >= 1);
    assert_true(context->private_.stack < context->private_.stack_end);
    assert_int_equal(context->private_.stack_end, segue_mutator_sp(context) & ~(uint64_t)(sizeof(void *) - 1));
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    end_thread(thread);
    /* The verdict may not hold after the suspension. */
    assert_int_equal(asked, 2);
    assert_int_equal(*(uintptr_t *)mapping.alias, MARK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- capture ---- */

/* A call by the calling convention, and the stack that its arguments take. */
#if defined(__x86_64__)
#define CALL_CAPTURE                                                                                                   \
    "leaq %[context], %%rcx\n\tleaq %[area], %%rdx\n\tmovl %[size], %%r8d\n\t"                                         \
    "subq $32, %%rsp\n\tcall segue_mutator_capture\n\taddq $32, %%rsp"
#define CAPTURE_CHANGES , "r8", "r9", "r10", "r11"
#define CAPTURE_STACK 32
#else
#define CALL_CAPTURE                                                                                                   \
    "leal %[context], %%ecx\n\tleal %[area], %%edx\n\tpushl %[size]\n\tpushl %%edx\n\tpushl %%ecx\n\t"                 \
    "call _segue_mutator_capture\n\taddl $12, %%esp"
#define CAPTURE_CHANGES
#define CAPTURE_STACK 12
#endif

static void registers_are_captured(void **state)
{
    static struct segue_mutator context;
    static _Alignas(64) uint8_t area[8192];
    const size_t size = segue_xstate_size(0);
    uintptr_t status, at;
    (void)state;
    assert_true(size >= 576 && size <= sizeof area);
    __asm__ volatile("mov " R("sp") ", %[at]\n\tmov %[mark], " R("si") "\n\tmovd %%esi, %%xmm5\n\t" CALL_CAPTURE
                     : "=a"(status), [at] "=m"(at), [context] "=m"(context), [area] "=m"(area)
                     : [mark] "r"(MARK), [size] "i"(sizeof area)
                     : CHANGED("cx"), CHANGED("dx"), CHANGED("si"), "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                       "memory", "cc" CAPTURE_CHANGES);
    assert_int_equal((uint32_t)status, SEGUE_OK);
    assert_int_equal(context.regs.rsi, MARK);
    assert_int_equal(context.regs.rsp, at - CAPTURE_STACK);
    assert_true(context.regs.rip - (uintptr_t)registers_are_captured < 4096);
    assert_int_equal(context.kind, SEGUE_MUTATOR_CALLER);
    assert_ptr_equal(context.xstate.area, area);
    assert_true(count_of(&context, MARK) >= 1);
    uint32_t vector;
    memcpy(&vector, area + XSAVE_XMM + 5 * XSAVE_XMM_SIZE, sizeof vector);
    assert_int_equal(vector, (uint32_t)MARK);
    assert_int_equal(segue_mutator_capture(&context, area + 8, sizeof area - 8), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, area, 64), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(NULL, NULL, 0), SEGUE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_is_shown_and_stands_still),
        cmocka_unit_test(thread_in_a_policy_is_shown_as_the_program),
        cmocka_unit_test(thread_is_stopped_between_steps),
        cmocka_unit_test(suspended_threads_registers_are_updated),
        cmocka_unit_test(suspension_has_its_answers),
        cmocka_unit_test(registers_are_captured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
