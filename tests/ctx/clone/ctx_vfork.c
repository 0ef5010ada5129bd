/* ctx_vfork.c: children of vfork's kind, which go on while their parent waits inside a handler: whatever stack the
 * handler is on, with a stack of their own or without, with signals of their own. The parent finds all as it was. */
#include "tests/support/test.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "ctx_clone_fixture.h"
#include "platform/linux/call_x86_64.h"

static char stacks[2][1 << 17] __attribute__((aligned(64)));

static uint64_t top(unsigned number)
{
    return (uint64_t)(uintptr_t)stacks[number] + sizeof stacks[number];
}

/* ---- what children do ---- */

static volatile int handled;

/* Overwrites much of what is below on the stack that it runs on. */
__attribute__((noinline)) static void run_over(unsigned char with)
{
    volatile unsigned char bytes[50000];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = with;
}

static void handle_in_child(int number)
{
    (void)number;
    run_over(0x33);
    handled++;
}

static void signal_self(void)
{
    system_call3(SYS_tgkill, system_call3(SYS_getpid, 0, 0, 0), system_call3(SYS_gettid, 0, 0, 0), SIGUSR1);
}

static long run_over_and_end(void *status)
{
    run_over(0x44);
    return (long)(uintptr_t)status;
}

static long be_signalled(void *status)
{
    signal_self();
    run_over(0x55);
    signal_self();
    return (long)(uintptr_t)status;
}

/* It arms the very memory that the parent's handler runs on. */
static long be_signalled_on_the_parents_alternate_stack(void *status)
{
    fixture_arm_alternate_stack();
    signal_self();
    return (long)(uintptr_t)status;
}

static long is_without_alternate_stack(void *unused)
{
    stack_t present = {.ss_sp = NULL};
    (void)unused;
    system_call3(SYS_sigaltstack, 0, (long)&present, 0);
    return present.ss_flags & SS_DISABLE ? 9 : 1;
}

static long clone_again(void *status)
{
    struct segue_clone request = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    int inner = 0;
    run_over(0x66);
    long number = trap_clone(&request, be_signalled, (void *)3);
    if (number <= 0 || system_call4(SYS_wait4, number, (long)&inner, __WALL, 0) != number || inner != 3 << 8)
        return 1;
    return (long)(uintptr_t)status;
}

/* ---- the parent ---- */

/* Of the handler's caller and of the handler's own; either is what a child may run over. */
#define CANARY_SIZE 2000
static volatile unsigned wrong;

static void fill(volatile unsigned char *bytes, unsigned char with)
{
    for (unsigned i = 0; i < CANARY_SIZE; i++)
        bytes[i] = (unsigned char)(with + i);
}

static void compare(const volatile unsigned char *bytes, unsigned char with)
{
    for (unsigned i = 0; i < CANARY_SIZE; i++)
        wrong += bytes[i] != (unsigned char)(with + i);
}

static ucontext_t before;
static long noted_by;

static void note_frame(void *ucontext)
{
    if (noted_by != system_call3(SYS_gettid, 0, 0, 0))
        return;
    before = *(ucontext_t *)ucontext;
}

static void compare_frame(void *ucontext)
{
    const ucontext_t *now = ucontext;
    if (noted_by != system_call3(SYS_gettid, 0, 0, 0))
        return;
    wrong += memcmp(&before.uc_mcontext.gregs, &now->uc_mcontext.gregs, sizeof before.uc_mcontext.gregs) != 0;
    wrong += memcmp(&before.uc_stack, &now->uc_stack, sizeof before.uc_stack) != 0;
    wrong += memcmp(&before.uc_sigmask, &now->uc_sigmask, 8) != 0;
}

__attribute__((noinline)) static void clone_and_compare(const struct segue_clone *request, child_function *function)
{
    volatile unsigned char bytes[CANARY_SIZE];
    fill(bytes, 7);
    wrong = 0;
    fixture_before = note_frame;
    fixture_after = compare_frame;
    long number = trap_clone(request, function, (void *)9);
    assert_true(number > 0);
    assert_int_equal(fixture_wait_for_process(number), 9 << 8);
    compare(bytes, 7);
    assert_int_equal(wrong, 0);
}

static void begin(bool on_alternate_stack)
{
    struct sigaction action = {.sa_handler = handle_in_child, .sa_flags = SA_ONSTACK};
    fixture_handle(on_alternate_stack);
    sigaction(SIGUSR1, &action, NULL);
    noted_by = gettid();
    handled = 0;
}

static void each_child_on(bool on_alternate_stack, uint64_t stack_pointer)
{
    static child_function *const functions[] = {run_over_and_end, be_signalled, is_without_alternate_stack,
                                                be_signalled_on_the_parents_alternate_stack, clone_again};
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct segue_clone request = {
            .flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD, .stack_pointer = stack_pointer};
        begin(on_alternate_stack);
        clone_and_compare(&request, functions[i]);
        assert_int_equal(handled, i == 1 || i == 4 ? 2 : i == 3 ? 1 : 0);
    }
    signal(SIGUSR1, SIG_DFL);
}

static void child_on_the_parents_stack_with_the_handler_on_the_same(void **state)
{
    (void)state;
    each_child_on(false, 0);
}

static void child_on_the_parents_stack_with_the_handler_on_the_alternate_stack(void **state)
{
    (void)state;
    each_child_on(true, 0);
}

static void child_on_a_stack_of_its_own_with_the_handler_on_the_threads(void **state)
{
    (void)state;
    each_child_on(false, top(0) - 5);
}

static void child_on_a_stack_of_its_own_with_the_handler_on_the_alternate_stack(void **state)
{
    (void)state;
    each_child_on(true, top(0) - 5);
}

/* In the middle of what the handler uses, a little below the program's stack pointer. */
static void child_on_the_parents_stack_below_the_frame(void **state)
{
    char here;
    (void)state;
    for (uint64_t distance = 4000; distance < 12000; distance += 1000) {
        struct segue_clone request = {.flags = CLONE_VM | CLONE_VFORK,
                                      .exit_signal = SIGCHLD,
                                      .stack_pointer = ((uint64_t)(uintptr_t)&here & -(uint64_t)16) - distance};
        begin(false);
        clone_and_compare(&request, be_signalled);
    }
}

static void a_fresh_alternate_stack(void *block, size_t size)
{
    (void)size;
    system_call3(SYS_sigaltstack, (long)block, 0, 0);
}

static volatile uint64_t handled_at;

static void note_stack_pointer(int number)
{
    (void)number;
    handled_at = (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

static void child_gets_the_alternate_stack_that_start_arms(void **state)
{
    (void)state;
    for (int on_alternate_stack = 0; on_alternate_stack < 2; on_alternate_stack++) {
        stack_t fresh = {.ss_sp = stacks[1], .ss_size = sizeof stacks[1]};
        struct segue_clone request = {.flags = CLONE_VM | CLONE_VFORK,
                                      .exit_signal = SIGCHLD,
                                      .start = a_fresh_alternate_stack,
                                      .block = &fresh,
                                      .block_size = sizeof fresh};
        struct sigaction action = {.sa_handler = note_stack_pointer, .sa_flags = SA_ONSTACK};
        begin(on_alternate_stack);
        sigaction(SIGUSR1, &action, NULL);
        handled_at = 0;
        clone_and_compare(&request, be_signalled);
        assert_in_range(handled_at, (uint64_t)(uintptr_t)stacks[1], top(1));
    }
    signal(SIGUSR1, SIG_DFL);
}

static void thread_on_its_parents_stack_that_is_waited_for(void **state)
{
    int word;
    (void)state;
    for (int on_alternate_stack = 0; on_alternate_stack < 2; on_alternate_stack++) {
        struct segue_clone request = fixture_thread(0, &word);
        request.flags |= CLONE_VFORK;
        begin(on_alternate_stack);
        wrong = 0;
        fixture_before = note_frame;
        fixture_after = compare_frame;
        assert_true(trap_clone(&request, be_signalled, (void *)0) > 0);
        fixture_wait(&word);
        assert_int_equal(handled, 2);
        assert_int_equal(wrong, 0);
    }
    signal(SIGUSR1, SIG_DFL);
}

/* The kernel disarms it for the time of the handler, and the frame arms it again: on the parent alone. */
static void child_that_shares_memory_is_not_armed_with_its_parents_disarmed_stack(void **state)
{
    static const uint64_t kinds[] = {CLONE_VM, CLONE_VM | CLONE_VFORK};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct segue_clone request = {.flags = kinds[i], .exit_signal = SIGCHLD, .stack_pointer = top(0)};
        stack_t stack = {
            .ss_sp = fixture_alternate_stack, .ss_size = sizeof fixture_alternate_stack, .ss_flags = (int)(1u << 31)};
        stack_t present;
        fixture_handle(true);
        sigaltstack(&stack, NULL);
        assert_int_equal(fixture_wait_for_process(trap_clone(&request, is_without_alternate_stack, NULL)), 9 << 8);
        sigaltstack(NULL, &present);
        assert_ptr_equal(present.ss_sp, fixture_alternate_stack);
        assert_false(present.ss_flags & SS_DISABLE);
    }
}

/* Both go on at once: the child would run over the handler of a parent that does not wait. */
static void child_in_the_way_of_a_parent_that_goes_on_is_refused(void **state)
{
    (void)state;
    struct segue_clone request = {.flags = CLONE_VM, .exit_signal = SIGCHLD};
    begin(false);
    assert_int_equal(trap_clone(&request, run_over_and_end, (void *)9), -95);
    begin(true);
    /* As by the kernel: this child touches little, and the parent's handler is elsewhere. */
    assert_int_equal(fixture_wait_for_process(trap_clone(&request, is_without_alternate_stack, NULL)), 9 << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_on_the_parents_stack_with_the_handler_on_the_same),
        cmocka_unit_test(child_on_the_parents_stack_with_the_handler_on_the_alternate_stack),
        cmocka_unit_test(child_on_a_stack_of_its_own_with_the_handler_on_the_threads),
        cmocka_unit_test(child_on_a_stack_of_its_own_with_the_handler_on_the_alternate_stack),
        cmocka_unit_test(child_on_the_parents_stack_below_the_frame),
        cmocka_unit_test(child_gets_the_alternate_stack_that_start_arms),
        cmocka_unit_test(thread_on_its_parents_stack_that_is_waited_for),
        cmocka_unit_test(child_that_shares_memory_is_not_armed_with_its_parents_disarmed_stack),
        cmocka_unit_test(child_in_the_way_of_a_parent_that_goes_on_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
