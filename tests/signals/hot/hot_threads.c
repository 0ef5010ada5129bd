/* hot_threads.c: threads that are interrupted in bodies or traced through them, and run sites while code changes;
 * children. */
#include "hot_fixture.h"
#include "tests/support/times.h"

#include <pthread.h>
#include <segue/posix.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;
static uint64_t low, high;
static volatile uint64_t strays;

static void tick(int number, siginfo_t *info, void *context)
{
    struct segue_frame frame;
    (void)number;
    ticks = ticks + 1;
    segue_frame_open(&frame, info, context);
    segue_translate(&frame.regs);
    uint64_t rip = frame.regs.rip;
    if (rip < low || rip >= high)
        strays++;
}

static int signals_may_come_at_any_time(void)
{
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval often = {{0, 50}, {0, 50}};
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t wanted = sites_sum(memory.alias, SIZE / 8), carry = sites_sum_with_carry(memory.alias, SIZE / 8);
    uint64_t first = steps(), rounds = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 5000) {
        assert_int_equal(sites_sum(memory.memory, SIZE / 8), wanted);
        assert_int_equal(sites_sum_with_carry(memory.memory, SIZE / 8), carry);
        rounds++;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    assert_int_equal(counted() + (steps() - first), rounds * 2 * (SIZE / 8));
    return 0;
}

/* ---- single steps ---- */

#define STEPS 4096u
static struct {
    uint64_t rip, rax, flags;
} trail[2][STEPS];
static volatile size_t step_count;
static volatile int trail_in_use;

static void note_step(int number, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    (void)info;
    if (step_count < STEPS) {
        trail[trail_in_use][step_count].rip = (uint64_t)registers[REG_RIP];
        trail[trail_in_use][step_count].rax = (uint64_t)registers[REG_RAX];
        trail[trail_in_use][step_count].flags = (uint64_t)registers[REG_EFL] & 0xcd5;
    }
    step_count++;
}

static size_t step_through(uint64_t (*function)(void *at, uint64_t count), void *at, uint64_t count)
{
    step_count = 0;
    __asm__ volatile("xor %%eax, %%eax\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcall *%2\n\t"
                     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq"
                     : "+D"(at), "+S"(count), "+r"(function)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return step_count;
}

static int single_steps_show_the_program(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    struct sigaction action = {.sa_sigaction = note_step, .sa_flags = SA_SIGINFO};
    uint64_t (*const functions[])(void *, uint64_t) = {sites_sum, sites_sum_with_carry};
    sigaction(SIGTRAP, &action, NULL);
    make_memory();
    memcpy(plain, memory.alias, SIZE);
    begin_with(SEGUE_REGION_COUNT);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = steps();
        trail_in_use = 0;
        size_t wanted = step_through(functions[i], plain, 20);
        assert_in_range(wanted, 80, STEPS);
        functions[i](memory.memory, 20);
        uint64_t count = counted();
        trail_in_use = 1;
        assert_int_equal(step_through(functions[i], memory.memory, 20), wanted);
        /* The last steps are behind the call. */
        assert_memory_equal(trail[0], trail[1], (wanted - 4) * sizeof trail[0][0]);
        assert_int_equal(counted() - count + (steps() - before), 20);
    }
    return 0;
}

/* ---- children; other threads ---- */

static int children_have_their_own(void)
{
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    sites_sum(memory.memory, 100);
    pid_t child = fork();
    if (child == 0) {
        uint64_t chain = sites_load_three(memory.alias);
        for (unsigned i = 0; i < ROUNDS; i++)
            if (sites_sum(memory.memory, 100) != wanted || sites_load_three(memory.memory) != chain)
                _exit(1);
        _exit(0);
    }
    uint64_t four = sites_load_four(memory.alias);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
        assert_int_equal(sites_load_four(memory.memory), four);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return 0;
}

static volatile int stop;

static void *sum_for_ever(void *wanted)
{
    uint64_t wrong = 0;
    while (!stop)
        wrong += sites_sum(memory.memory, 500) != (uint64_t)(uintptr_t)wanted;
    return (void *)(uintptr_t)wrong;
}

static int threads_go_on_while_sites_change(void)
{
    pthread_t threads[4];
    make_memory();
    uint64_t wanted = sites_sum(memory.alias, 500);
    begin_with(0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sum_for_ever, (void *)(uintptr_t)wanted), 0);
    struct segue_region region = region_with(0);
    for (unsigned i = 0; i < 30 * test_times(); i++) {
        usleep(1000);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
        usleep(1000);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
    }
    stop = 1;
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    return 0;
}

static void *list_for_ever(void *unused)
{
    (void)unused;
    while (!stop)
        counted();
    return NULL;
}

/* Also of a process that answers no faults of segment registers. */
static int children_may_list_what_a_thread_lists(void)
{
    pthread_t lister;
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    sites_sum(memory.memory, 100);
    assert_int_equal(pthread_create(&lister, NULL, list_for_ever, NULL), 0);
    for (unsigned i = 0; i < 200; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            counted();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    stop = 1;
    pthread_join(lister, NULL);
    return 0;
}

static void take_a_trap(int number)
{
    (void)number;
    strays++;
}

/* A program that handles SIGTRAP would get the breakpoints of code changes. */
static int no_code_changes_while_sigtrap_is_the_programs(void)
{
    struct sigaction action = {.sa_handler = take_a_trap}, before;
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
    uint64_t first = faults();
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(faults() - first, 100);
    assert_int_equal(strays, 0);
    assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
    first = faults();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_in_range(faults() - first, 1, 100);
    return 0;
}

/* As the C library does while it makes a thread or a child. */
static void *sum_with_signals_blocked(void *wanted)
{
    sigset_t all;
    uint64_t wrong = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    while (!stop)
        wrong += sites_sum(memory.alias, 20) != (uint64_t)(uintptr_t)wanted;
    return (void *)(uintptr_t)wrong;
}

static int threads_that_block_sigtrap_go_through_sites_that_change(void)
{
    pthread_t thread;
    void *wrong;
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 20);
    assert_int_equal(pthread_create(&thread, NULL, sum_with_signals_blocked, (void *)(uintptr_t)wanted), 0);
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(sites_sum(memory.memory, 20), wanted);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    }
    stop = 1;
    pthread_join(thread, &wrong);
    assert_null(wrong);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(signals_may_come_at_any_time)                                                                                    \
    X(single_steps_show_the_program)                                                                                   \
    X(children_have_their_own)                                                                                         \
    X(threads_go_on_while_sites_change)                                                                                \
    X(children_may_list_what_a_thread_lists)                                                                           \
    X(no_code_changes_while_sigtrap_is_the_programs)                                                                   \
    X(threads_that_block_sigtrap_go_through_sites_that_change)

CASES_MAIN(EACH_CASE)
