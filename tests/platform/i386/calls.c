/* calls.c: contexts by the calling convention of i386, and children made in a handler. */
#if !defined(__linux__) || !defined(__i386__)
#error "calls.c is specific to Linux on i386"
#endif

#include "tests/support/test.h"

#include <sched.h>
#include <segue/linux.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/child.h"

#define STACK_SIZE 65536

static struct segue_context own, other;

/* ---- contexts ---- */

static uint64_t take_all(uint8_t a, int16_t b, uint32_t c, uint64_t d, int64_t e, float f, double g, const void *h)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    assert_int_equal((frame + 8) % 16, 0);
    assert_int_equal(a, 250);
    assert_int_equal(b, -3);
    assert_int_equal(c, 0xfedcba98);
    assert_true(d == UINT64_C(0x0123456789abcdef));
    assert_true(e == -5);
    assert_true(f == 1.5f && g == -2.25);
    assert_ptr_equal(h, &own);
    return UINT64_C(0xaabbccdd11223344);
}

static void arguments_have_their_words(void **state)
{
    struct segue_stack stack;
    const struct segue_argument arguments[] = {
        segue_argument_u8(250),         segue_argument_i16(-3),
        segue_argument_u32(0xfedcba98), segue_argument_u64(UINT64_C(0x0123456789abcdef)),
        segue_argument_i64(-5),         segue_argument_float(1.5f),
        segue_argument_double(-2.25),   segue_argument_pointer(&own),
    };
    (void)state;
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_context_init(&other, NULL, stack.base, stack.size, (void (*)(void))take_all, arguments,
                                        sizeof arguments / sizeof *arguments, NULL),
                     SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(segue_context_is_finished(&other));
    assert_int_equal(segue_context_returned_integer(&other, 0), 0x11223344);
    assert_int_equal(segue_context_returned_integer(&other, 1), 0xaabbccdd);
    segue_stack_free(&stack);
}

static double give_double(void)
{
    return 6.125;
}

static float give_float(void)
{
    return -0.5f;
}

static void floats_are_returned(void **state)
{
    struct segue_stack stack;
    (void)state;
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(
        segue_context_init(&other, NULL, stack.base, stack.size, (void (*)(void))give_double, NULL, 0, NULL), SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(segue_context_returned_double(&other, 0) == 6.125);
    assert_true(segue_context_returned_double(&other, 1) == 0);
    assert_int_equal(
        segue_context_init(&other, NULL, stack.base, stack.size, (void (*)(void))give_float, NULL, 0, NULL), SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(segue_context_returned_float(&other, 0) == -0.5f);
    segue_stack_free(&stack);
}

static unsigned rounds;

static void count_rounds(void *data)
{
    uint16_t control = 0x0f7f;
    (void)data;
    __asm__ volatile("fldcw %0" : : "m"(control));
    for (;;) {
        rounds++;
        segue_context_swap(&other, &own);
        __asm__ volatile("fnstcw %0" : "=m"(control));
        if (control != 0x0f7f)
            abort();
    }
}

static void swaps_keep_control_words_and_registers(void **state)
{
    struct segue_stack stack;
    uint16_t control = 0;
    (void)state;
    rounds = 0;
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_context_make(&other, &stack, count_rounds, NULL), SEGUE_OK);
    for (unsigned i = 1; i <= 1000; i++) {
        assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
        assert_int_equal(rounds, i);
    }
    __asm__ volatile("fnstcw %0" : "=m"(control));
    assert_int_equal(control, 0x037f);
    segue_stack_free(&stack);
}

static void go_to_other(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    segue_frame_open(&frame, info, ucontext);
    if (segue_frame_set_context(&frame, &other) != SEGUE_OK)
        abort();
}

static void mark_and_return(void *data)
{
    *(volatile int *)data = 5;
    segue_context_swap(&other, &own);
}

/* The interrupted flow is abandoned: `own` was saved before it. */
static void handler_may_continue_with_a_context(void **state)
{
    struct sigaction action = {.sa_sigaction = go_to_other, .sa_flags = SA_SIGINFO}, kept;
    static struct segue_context middle;
    static struct segue_stack stack, second;
    static volatile int mark;
    (void)state;
    mark = 0;
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_stack_new(STACK_SIZE, &second), SEGUE_OK);
    sigaction(SIGUSR1, &action, &kept);
    assert_int_equal(segue_context_make(&other, &stack, mark_and_return, (void *)(uintptr_t)&mark), SEGUE_OK);
    const struct segue_argument argument = segue_argument_i32(SIGUSR1);
    assert_int_equal(
        segue_context_init(&middle, NULL, second.base, second.size, (void (*)(void))raise, &argument, 1, NULL),
        SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &middle), SEGUE_OK);
    assert_int_equal(mark, 5);
    sigaction(SIGUSR1, &kept, NULL);
}

/* ---- children ---- */

static struct segue_clone request;
static long made;

/* UD2 asks for a child: EAX is what clone(2) would return. */
static void make_child(int number, siginfo_t *info, void *ucontext)
{
    greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    (void)number;
    (void)info;
    gregs[REG_EIP] += 2;
    made = segue_clone(ucontext, &request);
    gregs[REG_EAX] = (greg_t)made;
}

static void catch_ud2(void)
{
    struct sigaction action = {.sa_sigaction = make_child, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGILL, &action, NULL);
}

/* The child ends by a system call, with `*word` set. EBX and the vectors are the parent's in the child. */
static long ask_for_a_child(volatile uint32_t *word)
{
    long result;
    __asm__ volatile("movl $0x5e9e, %%ecx\n\tmovd %%ecx, %%xmm4\n\t"
                     "ud2\n\t"
                     "testl %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "movd %%xmm4, (%%edi)\n\t"
                     "xorl %%ebx, %%ebx\n\t"
                     "movl $1, %%eax\n\t"
                     "int $0x80\n"
                     "1:"
                     : "=a"(result)
                     : "D"(word)
                     : "ecx", "memory", "xmm4");
    return result;
}

static void handler_makes_children_of_each_kind(void **state)
{
    static _Alignas(16) char stack[4096];
    static volatile uint32_t word;
    int status;
    (void)state;
    catch_ud2();
    /* Its own memory. */
    request = (struct segue_clone){.exit_signal = SIGCHLD};
    long child = ask_for_a_child(&word);
    assert_true(child > 0);
    assert_int_equal(waitpid((pid_t)child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(word, 0);
    /* The parent's memory, and a stack of its own. */
    request = (struct segue_clone){
        .flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = (uintptr_t)stack + sizeof stack};
    child = ask_for_a_child(&word);
    assert_true(child > 0);
    assert_int_equal(waitpid((pid_t)child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(word, 0x5e9e);
    /* The parent waits; on the same stack. */
    word = 0;
    request = (struct segue_clone){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    child = ask_for_a_child(&word);
    assert_true(child > 0);
    assert_int_equal(word, 0x5e9e);
    assert_int_equal(waitpid((pid_t)child, &status, 0), child);
    /* More than there are pads. */
    request = (struct segue_clone){
        .flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = (uintptr_t)stack + sizeof stack};
    for (unsigned i = 0; i < 100; i++) {
        child = ask_for_a_child(&word);
        assert_true(child > 0);
        assert_int_equal(waitpid((pid_t)child, &status, 0), child);
    }
    signal(SIGILL, SIG_DFL);
}

static void clone_with_storage_gives_it(void **state)
{
    (void)state;
    request = (struct segue_clone){.flags = CLONE_SETTLS, .exit_signal = SIGCHLD, .tls = 1};
    catch_ud2();
    /* On i386 it is the address of a descriptor: the kernel reads it. */
    assert_int_equal(ask_for_a_child(NULL), -14);
    signal(SIGILL, SIG_DFL);
}

int main(int argc, char **argv)
{
    child_main(argc, argv, NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_have_their_words),
        cmocka_unit_test(floats_are_returned),
        cmocka_unit_test(swaps_keep_control_words_and_registers),
        cmocka_unit_test(handler_may_continue_with_a_context),
        cmocka_unit_test(handler_makes_children_of_each_kind),
        cmocka_unit_test(clone_with_storage_gives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
