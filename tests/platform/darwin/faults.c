/* faults.c: faults in and out of macOS's frame, beyond ports/posix.c: every kind of extended state, previous handlers;
 * and what is refused by name. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "faults.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/posix.h"

#include <pthread.h>
#include <segue/posix.h>
#include <sys/ucontext.h>

#include "tests/platform/ports/vectors.h"

/* The loader makes smaller frames than this processor needs. */
static bool has_smaller_frame(void)
{
    const char *kind = getenv("LOADER_STATE");
    return kind && ((has("avx512") && strcmp(kind, "avx512") != 0) || strcmp(kind, "float") == 0);
}

static void upper_halves_are_in_the_state(void **state)
{
    (void)state;
    skip_if(has("avx2") ? NULL : "the processor has no AVX2");
    skip_if(has_smaller_frame() ? "the frame does not have all that the processor has" : NULL);
    check_upper_halves();
}

static void registers_of_avx512_are_in_the_state(void **state)
{
    (void)state;
    skip_if(has("avx512") && !has_smaller_frame() ? NULL : "the frame has no AVX-512 state");
    check_avx512();
}

/* ---- previous handlers ---- */

static volatile int handled, handled_code;
static volatile uint64_t handled_address;
static volatile sigset_t handled_mask;

static void skip_two_bytes(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    sigset_t mask;
    handled = number;
    handled_code = info->si_code;
    handled_address = (uint64_t)(uintptr_t)info->si_addr;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    handled_mask = mask;
    frame->uc_mcontext->__ss.__rip += 2;
    frame->uc_mcontext->__ss.__rax = 99;
    ((uint8_t *)&frame->uc_mcontext->__fs.__fpu_xmm9)[0] = 0x77;
}

/* movb (%rbx), %al has two bytes. */
static uint64_t load_byte(volatile uint8_t *from, uint8_t *vector)
{
    uint64_t value = 0;
    __asm__ volatile("movb (%%rbx), %%al\n\tmovdqu %%xmm9, (%2)"
                     : "+a"(value)
                     : "b"(from), "r"(vector)
                     : "memory", "xmm9");
    return value;
}

static void previous_handler_gets_the_systems_frame(void **state)
{
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before;
    uint8_t vector[16];
    (void)state;
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGBUS, &action, &before);
    volatile uint8_t *page = begin_filled(pass);
    handled = 0;
    assert_int_equal(load_byte(page + 5, vector), 99);
    assert_int_equal(handled, SIGBUS);
    assert_int_equal(handled_address, (uintptr_t)page + 5);
    assert_int_equal(vector[0], 0x77);
    /* The mask that the system would have called it with; and the one before when it has returned. */
    assert_true(sigismember((const sigset_t *)(uintptr_t)&handled_mask, SIGUSR1));
    assert_true(sigismember((const sigset_t *)(uintptr_t)&handled_mask, SIGBUS));
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, SIGBUS));
    assert_int_equal(asked, 1);
    end();
    sigaction(SIGBUS, NULL, &action);
    assert_ptr_equal(action.sa_sigaction, skip_two_bytes);
    sigaction(SIGBUS, &before, NULL);
}

/* The step meets another fault than the one that the system has reported: a division by zero. By a port the latter
 * happens again. */
static void previous_handler_gets_the_fault_of_the_step(void **state)
{
    static const int numbers[] = {SIGFPE, SIGBUS};
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before[2];
    uint64_t dividend = 7;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        sigaction(numbers[i], &action, &before[i]);
    volatile uint8_t *page = begin_filled(note);
    memset(alias() + 24, 0, 4);
    handled = 0;
    /* It has two bytes. */
    __asm__ volatile("idivl (%%rbx)" : "+a"(dividend) : "b"(page + 24), "d"(0) : "memory", "cc");
    assert_int_equal(dividend, 99);
    assert_int_equal(handled, is_by_port() ? SIGBUS : SIGFPE);
    assert_int_equal(handled_code, is_by_port() ? BUS_ADRERR : FPE_INTDIV);
    assert_int_equal(handled_address, is_by_port() ? (uintptr_t)page + 24 : shown.rip);
    end();
    for (unsigned i = 0; i < 2; i++)
        sigaction(numbers[i], &before[i], NULL);
}

static void what_is_not_there_is_refused_by_name(void **state)
{
    static const enum segue_feature missing[] = {SEGUE_FEATURE_HOT, SEGUE_FEATURE_DIRECT_RESTORE};
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        assert_int_equal(segue_feature_check(missing[i]), SEGUE_UNSUPPORTED);
        assert_non_null(segue_reason());
    }
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_REPLAY), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upper_halves_are_in_the_state),
        cmocka_unit_test(registers_of_avx512_are_in_the_state),
        cmocka_unit_test(previous_handler_gets_the_systems_frame),
        cmocka_unit_test(previous_handler_gets_the_fault_of_the_step),
        cmocka_unit_test(what_is_not_there_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
