/* ctx_signals.c: contexts and signals: masks of their own, and the way from a handler into a context. */
#include <fenv.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <segue/posix.h>

#include "ctx_context.h"

/* ---- the signal mask ---- */

static bool is_blocked(int number)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number);
}

static void note_mask_and_block(void)
{
    seen[0] = is_blocked(SIGUSR1);
    seen[1] = is_blocked(SIGUSR2);
    sigset_t more;
    sigemptyset(&more);
    sigaddset(&more, SIGHUP);
    sigprocmask(SIG_BLOCK, &more, NULL);
    segue_context_swap(&child, &parent);
    seen[2] = is_blocked(SIGHUP);
}

static void own_mask_is_kept_on_both_sides(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t mask, none;
    sigemptyset(&none);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    memset(seen, 0, sizeof seen);
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, &options), SEGUE_OK);
    assert_int_equal(segue_context_set_mask(&child, &mask), SEGUE_OK);
    go();
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 0);
    assert_false(is_blocked(SIGUSR1));
    assert_false(is_blocked(SIGHUP));
    go();
    assert_int_equal(seen[2], 1);
    assert_false(is_blocked(SIGHUP));
}

static void a_mask_is_set_only_of_a_context_that_has_its_own(void **state)
{
    (void)state;
    sigset_t none;
    sigemptyset(&none);
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, NULL), SEGUE_OK);
    assert_int_equal(segue_context_set_mask(&child, &none), SEGUE_INVALID);
    assert_int_equal(segue_context_set_mask(NULL, &none), SEGUE_INVALID);
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, &options), SEGUE_OK);
    assert_int_equal(segue_context_set_mask(&child, NULL), SEGUE_INVALID);
    segue_context_destroy(&child);
}

static void own_mask_begins_as_the_one_in_force(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, &before);
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, &options), SEGUE_OK);
    sigprocmask(SIG_SETMASK, &before, NULL);
    go();
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 1);
    assert_false(is_blocked(SIGUSR2));
}

static void swap_for_ever(void)
{
    for (;;)
        segue_context_swap(&child, &parent);
}

static void swap_without_mask_makes_no_system_call(void **state)
{
    (void)state;
    init(ENTRY(swap_for_ever));
    pid_t process = fork();
    if (process == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            syscall(SYS_exit, 2);
        for (int i = 0; i < 1000; i++)
            segue_context_swap(&parent, &child);
        syscall(SYS_exit, 0);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- signals ---- */

static _Alignas(16) char signal_stack[65536];
static void *handled_address;
static volatile int handled_number;

static void set_parent_from_handler(int number, siginfo_t *info, void *ucontext)
{
    handled_number = number;
    handled_address = info->si_addr;
    struct segue_frame frame;
    segue_frame_open(&frame, info, ucontext);
    segue_frame_set_context(&frame, &parent);
}

static void handle(int number, struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = set_parent_from_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    sigaltstack(&alternate, NULL);
    sigaction(number, &action, before);
}

__attribute__((noinline)) static uint64_t recurse(uint64_t depth)
{
    volatile char bytes[256];
    bytes[0] = (char)depth;
    return depth == UINT64_MAX ? 0 : recurse(depth + 1) + (uint64_t)bytes[0];
}

static void child_that_overflows_its_stack_is_left_by_its_handler(void **state)
{
    (void)state;
    struct sigaction before;
    struct segue_stack made;
    struct segue_argument zero = segue_argument_u64(0);
    handle(SIGSEGV, &before);
    assert_int_equal(segue_stack_new(STACK_SIZE, &made), SEGUE_OK);
    for (int i = 0; i < 3; i++) {
        handled_address = NULL;
        assert_int_equal(segue_context_init(&child, &parent, made.base, made.size, ENTRY(recurse), &zero, 1, NULL),
                         SEGUE_OK);
        go();
        assert_in_range((uint64_t)(uintptr_t)made.base - (uint64_t)(uintptr_t)handled_address, 1, 4096);
        assert_false(is_blocked(SIGSEGV));
    }
    segue_context_destroy(&child);
    segue_stack_free(&made);
    sigaction(SIGSEGV, &before, NULL);
}

static void fault_with_odd_state(void)
{
    /* DF set, all of the x87 stack in use, MXCSR rounding up, a red zone's worth of garbage. */
    fesetround(FE_UPWARD);
    __asm__ volatile("fld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nstd\nmovl $0, 0\n" ::: "memory");
}

static void set_from_signal_leaves_no_trace_of_what_was_interrupted(void **state)
{
    (void)state;
    struct sigaction before;
    handle(SIGSEGV, &before);
    init(ENTRY(fault_with_odd_state));
    go();
    unsigned long flags;
    uint16_t environment[14];
    __asm__ volatile("pushf\npop %0" : "=r"(flags));
    __asm__ volatile("fnstenv %0\nfldenv %0" : "+m"(environment));
    assert_false(flags & 0x400);
    assert_int_equal(environment[4], 0xffff);
    assert_int_equal(fegetround(), FE_TONEAREST);
    sigaction(SIGSEGV, &before, NULL);
}

static void fault_by_address(void)
{
    __asm__ volatile("movb $1, 16");
}

/* Beyond the end of the file. */
static void fault_by_file(void)
{
    FILE *file = tmpfile();
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    fclose(file);
    page[0] = 1;
}

static void fault_by_instruction(void)
{
    __asm__ volatile("ud2");
}

static void fault_by_division(void)
{
    __asm__ volatile("divl %%ecx" : : "a"(1), "d"(0), "c"(0));
}

static void fault_by_breakpoint(void)
{
    __asm__ volatile("int3");
}

static void every_kind_of_fault_is_left_by_its_handler(void **state)
{
    (void)state;
    static const struct {
        int number;
        void (*entry)(void);
    } faults[] = {
        {SIGSEGV, fault_by_address}, {SIGBUS, fault_by_file},        {SIGILL, fault_by_instruction},
        {SIGFPE, fault_by_division}, {SIGTRAP, fault_by_breakpoint},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct sigaction before;
        handle(faults[i].number, &before);
        /* More than once: nothing of the first time is left behind. */
        for (unsigned round = 0; round < 3; round++) {
            handled_number = 0;
            init(faults[i].entry);
            go();
            assert_int_equal(handled_number, faults[i].number);
            assert_false(segue_context_is_finished(&child));
            assert_false(is_blocked(faults[i].number));
        }
        sigaction(faults[i].number, &before, NULL);
    }
}

static void raise_user_signal(void)
{
    raise(SIGUSR1);
    seen[0] = 1;
}

static void set_from_signal_puts_back_an_own_mask_by_the_return(void **state)
{
    (void)state;
    struct sigaction before;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGUSR1);
    handle(SIGUSR1, &before);
    seen[0] = 0;
    assert_int_equal(init_with(ENTRY(raise_user_signal), NULL, 0, &options), SEGUE_OK);
    assert_int_equal(segue_context_set_mask(&child, &all), SEGUE_OK);
    go();
    assert_int_equal(seen[0], 0);
    assert_false(is_blocked(SIGUSR2));
    assert_false(is_blocked(SIGUSR1));
    sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(own_mask_is_kept_on_both_sides, begin),
        cmocka_unit_test_setup(a_mask_is_set_only_of_a_context_that_has_its_own, begin),
        cmocka_unit_test_setup(own_mask_begins_as_the_one_in_force, begin),
        cmocka_unit_test_setup(swap_without_mask_makes_no_system_call, begin),
        cmocka_unit_test_setup(child_that_overflows_its_stack_is_left_by_its_handler, begin),
        cmocka_unit_test_setup(set_from_signal_leaves_no_trace_of_what_was_interrupted, begin),
        cmocka_unit_test_setup(every_kind_of_fault_is_left_by_its_handler, begin),
        cmocka_unit_test_setup(set_from_signal_puts_back_an_own_mask_by_the_return, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
