/* faults.c: faults in and out of FreeBSD's frame, beyond ports/posix.c: both parts of the extended state, exceptions'
 * numbers, previous handlers, real-time signals; and what is refused by name. */
#if !defined(__FreeBSD__)
#error "faults.c is specific to FreeBSD"
#endif

#include "tests/platform/ports/posix.h"

#include <pthread.h>
#include <segue/posix.h>
#include <segue/segment.h>
#include <segue/try.h>
#include <setjmp.h>
#include <ucontext.h>

#include "tests/platform/ports/vectors.h"

static struct segue_fault fault_told;

static void upper_halves_are_in_the_second_part(void **state)
{
    (void)state;
    skip_if(has("avx2") ? NULL : "the processor has no AVX2");
    check_upper_halves();
}

static void registers_of_avx512_are_in_the_second_part(void **state)
{
    (void)state;
#if defined(__x86_64__)
    skip_if(has("avx512") ? NULL : "the processor has no AVX-512");
    check_avx512();
#else
    skip_if("32-bit code has half of AVX-512's registers");
#endif
}

/* A frame whose state is initial says that it has no owner; what a step loads must be in the thread all the same. */
static void step_loads_a_state_that_nobody_owned(void **state)
{
    static _Alignas(64) uint8_t initial[8192];
    uint32_t loaded[4] = {0}, low = UINT32_MAX;
    volatile uint8_t *page = begin_filled(note);
    (void)state;
    memcpy(initial + 24, (uint32_t[]){0x1f80}, 4);
    __asm__ volatile("xrstor (%1)\n\tmovdqu 64(%2), %%xmm3\n\tmovdqu %%xmm3, (%3)"
                     :
                     : "a"(low), "r"(initial), "r"(page), "r"(loaded), "d"(low)
                     : "memory", "xmm3");
    assert_memory_equal(loaded, alias() + 64, 16);
    assert_int_equal(asked, 1);
    end();
}

/* ---- exceptions ---- */

static struct segue_trial trial;

/* The exception has the processor's number, not the system's. */
#define AFTER(instruction, ...)                                                                                        \
    do {                                                                                                               \
        fault_told = (struct segue_fault){0};                                                                          \
        if (segue_try(&trial) == 0)                                                                                    \
            __asm__ volatile(instruction : : __VA_ARGS__);                                                             \
        fault_told = trial.fault;                                                                                      \
    } while (0)

static void exceptions_have_the_processors_numbers(void **state)
{
    volatile uint8_t *volatile nowhere = (volatile uint8_t *)24;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    AFTER("movb $1, (%0)", "r"(nowhere) : "memory");
    assert_int_equal(fault_told.trap, 14);
    assert_true(fault_told.address_known);
    assert_int_equal(fault_told.address, 24);
    assert_int_equal(fault_told.direction, SEGUE_WRITE);
    assert_int_equal(fault_told.signal, SIGSEGV);
    AFTER("movb (%0), %%al", "r"(nowhere) : "memory", "eax");
    assert_int_equal(fault_told.direction, SEGUE_READ);
    static _Alignas(16) uint8_t bytes[32];
    AFTER("movaps 1(%0), %%xmm0", "r"(bytes) : "memory", "xmm0");
    assert_int_equal(fault_told.trap, 13);
    assert_false(fault_told.address_known);
    assert_int_equal(fault_told.signal, SIGBUS);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- previous handlers ---- */

static volatile int handled, handled_code, handled_trap;
static volatile uintptr_t handled_address;
static sigset_t handled_mask;

static void skip_two_bytes(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    handled = number;
    handled_code = info->si_code;
    handled_address = (uintptr_t)info->si_addr;
    handled_trap = (int)machine->mc_trapno;
    pthread_sigmask(SIG_BLOCK, NULL, &handled_mask);
#if defined(__x86_64__)
    machine->mc_rip += 2;
    machine->mc_rax = 99;
#else
    machine->mc_eip += 2;
    machine->mc_eax = 99;
#endif
    /* XMM5, in the image of FXSAVE. */
    ((uint8_t *)machine->mc_fpstate)[160 + 5 * 16] = 0x77;
}

/* movb (%ebx), %al has two bytes. */
static uintptr_t load_byte(volatile uint8_t *from, uint8_t *vector)
{
    uintptr_t value = 0;
    __asm__ volatile("pxor %%xmm5, %%xmm5\n\tmovb (%1), %%al\n\tmovdqu %%xmm5, (%2)"
                     : "+a"(value)
                     : "b"(from), "r"(vector)
                     : "memory", "xmm5");
    return value;
}

static void previous_handler_gets_the_systems_frame(void **state)
{
    const int number = closed_signal();
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before;
    uint8_t vector[16];
    (void)state;
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(number, &action, &before);
    volatile uint8_t *page = begin_filled(pass);
    handled = 0;
    assert_int_equal(load_byte(page + 5, vector), 99);
    assert_int_equal(handled, number);
    assert_int_equal(handled_code, number == SIGBUS ? 12 : SEGV_ACCERR);
    assert_int_equal(handled_trap, 12);
    assert_int_equal(handled_address, (uintptr_t)page + 5);
    assert_int_equal(vector[0], 0x77);
    /* The mask that the system would have called it with; and the one before when it has returned. */
    assert_true(sigismember(&handled_mask, SIGUSR1));
    assert_true(sigismember(&handled_mask, number));
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, number));
    assert_int_equal(asked, 1);
    end();
    sigaction(number, NULL, &action);
    assert_ptr_equal(action.sa_sigaction, skip_two_bytes);
    sigaction(number, &before, NULL);
}

static void *volatile given_address;

/* Without SA_SIGINFO there are four arguments, as long ago. */
static void skip_with_four_arguments(int number, int code, void *context, void *address)
{
    siginfo_t info = {.si_code = code, .si_addr = address};
    given_address = address;
    skip_two_bytes(number, &info, context);
}

static void previous_handler_without_siginfo_gets_the_address(void **state)
{
    const int number = closed_signal();
    struct sigaction action = {.sa_handler = (void (*)(int))(uintptr_t)skip_with_four_arguments}, before;
    uint8_t vector[16];
    (void)state;
    sigaction(number, &action, &before);
    volatile uint8_t *page = begin_filled(pass);
    assert_int_equal(load_byte(page + 5, vector), 99);
    assert_ptr_equal(given_address, page + 5);
    assert_int_equal(handled_code, number == SIGBUS ? 12 : SEGV_ACCERR);
    end();
    sigaction(number, &before, NULL);
}

/* A removal waits for a thread that has left a policy by a jump: it is looked at, by the library's own signal. */
static jmp_buf way_out;
static volatile int left, may_end;

static enum segue_verdict leave(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    longjmp(way_out, 1);
}

static void *leave_a_policy(void *page)
{
    if (setjmp(way_out) == 0)
        (void)*(volatile uint8_t *)page;
    left = 1;
    while (!may_end)
        usleep(1000);
    return NULL;
}

static void removal_looks_at_a_thread_that_left_a_policy(void **state)
{
    pthread_t thread;
    volatile uint8_t *page = begin_filled(leave);
    (void)state;
    left = may_end = 0;
    assert_int_equal(pthread_create(&thread, NULL, leave_a_policy, (void *)(uintptr_t)page), 0);
    while (!left)
        usleep(1000);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    may_end = 1;
    pthread_join(thread, NULL);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- real-time signals, which masks of 64 bits lack ---- */

static void held_real_time_signals_are_as_before(void **state)
{
    sigset_t wanted, mask;
    (void)state;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGRTMIN + 5);
    sigaddset(&wanted, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
    volatile uint8_t *page = begin_filled(note);
    (void)page[1];
    end();
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_memory_equal(&mask, &wanted, sizeof mask);
    sigemptyset(&wanted);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
}

static void what_is_not_there_is_refused_by_name(void **state)
{
    static const enum segue_feature missing[] = {SEGUE_FEATURE_GUEST, SEGUE_FEATURE_SEGMENT, SEGUE_FEATURE_HOT,
                                                 SEGUE_FEATURE_DIRECT_RESTORE};
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
        cmocka_unit_test(upper_halves_are_in_the_second_part),
        cmocka_unit_test(registers_of_avx512_are_in_the_second_part),
        cmocka_unit_test(step_loads_a_state_that_nobody_owned),
        cmocka_unit_test(exceptions_have_the_processors_numbers),
        cmocka_unit_test(previous_handler_gets_the_systems_frame),
        cmocka_unit_test(previous_handler_without_siginfo_gets_the_address),
        cmocka_unit_test(removal_looks_at_a_thread_that_left_a_policy),
        cmocka_unit_test(held_real_time_signals_are_as_before),
        cmocka_unit_test(what_is_not_there_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
