/* ctx_pads.c: what children begin on: never anybody else's, given back whatever becomes of the child and if there is
 * none, and at the same cost however many children live. */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <segue/linux.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "ctx/clone/pad.h"
#include "ctx_clone_fixture.h"
#include "platform/frame/frame.h"
#include "platform/linux/call_x86_64.h"

#define CHILD_STACK 4096
#define LIVING 2000
#define CLEAR_SIGHAND 0x100000000u
/* Pads that begin to be used while others are, and what the C library maps meanwhile. */
#define FEW_MAPPINGS 12

static void begin(void)
{
    fixture_handle(true);
}

static void sleep_a_little(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    system_call3(SYS_nanosleep, (long)&time, 0, 0);
}

/* ---- whose it is ---- */

static volatile int standing, overwritten;

/* Fills much of the pad's stack, and looks whether it stays so. */
static void stand_on_pad(void *block, size_t size)
{
    volatile unsigned char bytes[40000];
    int different = 0;
    (void)block, (void)size;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x5a;
    standing = 1;
    while (standing == 1)
        sleep_a_little(1);
    for (unsigned i = 0; i < sizeof bytes; i++)
        different += bytes[i] != 0x5a;
    overwritten = different;
}

static void run_over_pad(void *block, size_t size)
{
    volatile unsigned char bytes[40000];
    (void)block, (void)size;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x11;
}

static long do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

static char stacks[4][65536] __attribute__((aligned(64)));

static uint64_t top(unsigned number)
{
    return (uint64_t)(uintptr_t)stacks[number] + sizeof stacks[number];
}

/* On a process of its own number, which asks about none that its parent has made. */
static long clone_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        struct segue_clone request = {
            .flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = top(2), .start = run_over_pad};
        long number = trap_clone(&request, do_nothing, NULL);
        if (number <= 0 || system_call4(SYS_wait4, number, 0, __WALL, 0) != number)
            return 1;
    }
    return 0;
}

static void stand_while_a_process_clones(uint64_t flags)
{
    int word;
    begin();
    standing = 0;
    overwritten = -1;
    struct segue_clone thread = fixture_thread(top(0), &word);
    thread.start = stand_on_pad;
    assert_true(trap_clone(&thread, do_nothing, NULL) > 0);
    while (!standing)
        sleep_a_little(1);
    struct segue_clone process = {.flags = CLONE_VM | flags, .exit_signal = SIGCHLD, .stack_pointer = top(1)};
    int status = fixture_wait_for_process(trap_clone(&process, clone_many, NULL));
    standing = 2;
    fixture_wait(&word);
    assert_int_equal(status, 0);
    assert_int_equal(overwritten, 0);
}

static void process_that_shares_memory_takes_no_pad_of_a_living_thread(void **state)
{
    (void)state;
    stand_while_a_process_clones(0);
}

/* Where the thread has another number, and others have the thread's. */
static void process_of_another_namespace_takes_no_pad_of_a_living_thread(void **state)
{
    (void)state;
    skip_if(geteuid() != 0 ? "only root may make a PID namespace" : NULL);
    stand_while_a_process_clones(CLONE_NEWPID);
}

/* ---- many that live ---- */

static volatile int living, may_end;

static long live(void *unused)
{
    (void)unused;
    __atomic_fetch_add(&living, 1, __ATOMIC_SEQ_CST);
    while (!may_end)
        system_call4(SYS_futex, (long)&may_end, FUTEX_WAIT, 0, 0);
    return 0;
}

static char *child_stacks;

static void clone_living(unsigned number)
{
    struct segue_clone request = {.flags = FIXTURE_THREAD_FLAGS,
                                  .stack_pointer =
                                      (uint64_t)(uintptr_t)child_stacks + (uint64_t)CHILD_STACK * (number + 1)};
    assert_true(trap_clone(&request, live, NULL) > 0);
}

static void begin_living(void)
{
    living = may_end = 0;
    child_stacks =
        mmap(NULL, (size_t)CHILD_STACK * (LIVING + 2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(child_stacks != MAP_FAILED);
}

static void wait_for_living(int number)
{
    while (living < number)
        sleep_a_little(1);
}

static void end_living(void)
{
    may_end = 1;
    syscall(SYS_futex, &may_end, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static void threads_that_live_take_no_mappings(void **state)
{
    (void)state;
    begin();
    begin_living();
    clone_living(0);
    wait_for_living(1);
    size_t before = fixture_count_mappings();
    for (unsigned i = 1; i < LIVING; i++) {
        clone_living(i);
        wait_for_living((int)i + 1);
    }
    assert_in_range(fixture_count_mappings(), 1, before + FEW_MAPPINGS);
    end_living();
}

/* A traced process: the calls of its first clone stand between its first two marks, those of its last between the two
 * that follow. */
static void make_traced_clones(void)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    syscall(SYS_getppid);
    clone_living(0);
    syscall(SYS_getppid);
    wait_for_living(1);
    for (unsigned i = 1; i < LIVING; i++)
        clone_living(i);
    wait_for_living(LIVING);
    syscall(SYS_getppid);
    clone_living(LIVING);
    syscall(SYS_getppid);
    _exit(0);
}

/* Each call stops the tracee twice. */
static void count_calls(pid_t tracee, unsigned *first, unsigned *last)
{
    unsigned marks = 0;
    int status;
    *first = *last = 0;
    long signal = 0;
    while (ptrace(PTRACE_SYSCALL, tracee, 0, signal) == 0 && waitpid(tracee, &status, 0) == tracee &&
           WIFSTOPPED(status)) {
        signal = WSTOPSIG(status) == SIGILL ? SIGILL : 0;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        long number = ptrace(PTRACE_PEEKUSER, tracee, offsetof(struct user, regs.orig_rax), 0);
        marks += number == SYS_getppid;
        *first += marks == 2 && number != SYS_getppid;
        *last += marks == 6 && number != SYS_getppid;
    }
}

static void a_clone_makes_as_many_calls_with_many_living_children_as_with_none(void **state)
{
    unsigned first, last;
    int status;
    (void)state;
    begin();
    begin_living();
    pid_t child = fork();
    if (child == 0)
        make_traced_clones();
    assert_int_equal(waitpid(child, &status, 0), child);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    count_calls(child, &first, &last);
    kill(child, SIGKILL);
    assert_in_range(first, 4, 100);
    assert_in_range(last, 4, first);
}

/* ---- however they end ---- */

static long end_process(void *status)
{
    system_call3(SYS_exit_group, (long)(uintptr_t)status, 0, 0);
    return 1;
}

static long wait_to_be_killed(void *unused)
{
    (void)unused;
    system_call3(SYS_pause, 0, 0, 0);
    return 1;
}

static void start_that_ends_the_child(void *block, size_t size)
{
    (void)block, (void)size;
    system_call3(SYS_exit, 0, 0, 0);
}

static void clone_and_end(unsigned i)
{
    static child_function *const ways[] = {do_nothing, end_process, wait_to_be_killed, do_nothing};
    unsigned way = i % 4;
    struct segue_clone request = {.flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = top(0)};
    if (way == 3)
        request.start = start_that_ends_the_child;
    long number = trap_clone(&request, ways[way], NULL);
    assert_true(number > 0);
    if (way == 2)
        kill((pid_t)number, SIGKILL);
    assert_int_equal(fixture_wait_for_process(number), way == 2 ? SIGKILL : 0);
}

static void processes_that_share_memory_leave_nothing_however_they_end(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 8; i++)
        clone_and_end(i);
    size_t before = fixture_count_mappings();
    for (unsigned i = 0; i < 2000; i++)
        clone_and_end(i);
    assert_in_range(fixture_count_mappings(), 1, before + FEW_MAPPINGS);
}

static void threads_that_end_in_their_start_leave_nothing(void **state)
{
    int word;
    (void)state;
    begin();
    size_t before = fixture_count_mappings();
    for (unsigned i = 0; i < 1000; i++) {
        struct segue_clone request = fixture_thread(top(0), &word);
        request.start = start_that_ends_the_child;
        assert_true(trap_clone(&request, do_nothing, NULL) > 0);
        fixture_wait(&word);
    }
    assert_in_range(fixture_count_mappings(), 1, before + FEW_MAPPINGS);
}

/* ---- where they go on ---- */

#define PLACE_SIZE 16
static unsigned char *places;
static volatile unsigned place_wanted;

static void lead_to_a_place(void *ucontext)
{
    struct segue_regs regs;
    frame_get_registers(ucontext, &regs);
    regs.rip = (uint64_t)(uintptr_t)(places + PLACE_SIZE * place_wanted);
    frame_set_registers(ucontext, &regs);
}

static void more_targets_than_words_are_all_reached(void **state)
{
    /* mov $number, %edi; mov $60, %eax; syscall */
    static const unsigned char code[] = {0xbf, 0, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05};
    const unsigned count = 2 * PAD_COUNT;
    size_t size = (size_t)PLACE_SIZE * count;
    (void)state;
    begin();
    places = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < count; i++) {
        memcpy(places + PLACE_SIZE * i, code, sizeof code);
        places[PLACE_SIZE * i + 1] = (unsigned char)(i % 251);
    }
    mprotect(places, size, PROT_READ | PROT_EXEC);
    fixture_before = lead_to_a_place;
    size_t mappings = 0;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < count; i++) {
            struct segue_clone request = {.flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = top(0)};
            place_wanted = i;
            /* The parent goes on behind its instruction: the handler puts that back. */
            int status = fixture_wait_for_process(trap_clone(&request, do_nothing, NULL));
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), i % 251);
            if (round == 0 && i == PAD_COUNT + PAD_COUNT / 2)
                mappings = fixture_count_mappings();
        }
    assert_in_range(fixture_count_mappings(), 1, mappings + FEW_MAPPINGS);
    fixture_before = NULL;
    munmap(places, size);
}

static volatile uint64_t first_trap;

static void note_trap(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    (void)number, (void)info;
    frame_get_registers(ucontext, &regs);
    if (!first_trap)
        first_trap = regs.rip;
    regs.rflags &= ~(uint64_t)0x100;
    frame_set_registers(ucontext, &regs);
}

static uint64_t behind;

static void set_trap_flag(void *ucontext)
{
    struct segue_regs regs;
    frame_get_registers(ucontext, &regs);
    behind = regs.rip;
    regs.rflags |= 0x100;
    frame_set_registers(ucontext, &regs);
}

static void child_with_the_trap_flag_is_trapped_behind_its_first_instruction(void **state)
{
    struct sigaction action = {.sa_sigaction = note_trap, .sa_flags = SA_SIGINFO};
    (void)state;
    begin();
    sigaction(SIGTRAP, &action, NULL);
    fixture_before = set_trap_flag;
    first_trap = 0;
    struct segue_clone request = {.flags = CLONE_VM, .exit_signal = SIGCHLD, .stack_pointer = top(0)};
    int status = fixture_wait_for_process(trap_clone(&request, do_nothing, NULL));
    signal(SIGTRAP, SIG_DFL);
    fixture_before = NULL;
    assert_int_equal(status, 0);
    /* test %rax, %rax */
    assert_int_equal(first_trap, behind + 3);
}

static void child_on_its_way_out_of_a_pad_is_shown_where_it_goes_on(void **state)
{
    int word;
    uint64_t target = 0;
    (void)state;
    begin();
    struct segue_clone request = fixture_thread(top(0), &word);
    assert_true(trap_clone(&request, do_nothing, NULL) > 0);
    fixture_wait(&word);
    for (unsigned i = 0; i < PAD_COUNT; i++)
        for (unsigned step = 0; step <= PAD_EXIT_JUMP; step += PAD_EXIT_JUMP) {
            assert_true(pad_exit_holds((uint64_t)(uintptr_t)pad_rcx_exits[i] + step, 0x1234, &target));
            assert_int_equal(target, 0x1234);
            assert_true(pad_exit_holds((uint64_t)(uintptr_t)pad_word_exits[i] + step, 0x1234, &target));
            assert_int_equal(target, pad_targets[i]);
        }
    assert_int_not_equal(pad_targets[0], 0);
    assert_false(pad_exit_holds((uint64_t)(uintptr_t)pad_rcx_exits - 1, 0, &target));
    /* What a collector is shown. */
    struct {
        uint64_t restorer; /* The kernel puts its address right below the ucontext. */
        ucontext_t ucontext;
    } frame = {0};
    struct segue_mutator context;
    struct segue_frame opened;
    getcontext(&frame.ucontext);
    frame.ucontext.uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)pad_rcx_exits[5] + PAD_EXIT_JUMP;
    frame.ucontext.uc_mcontext.gregs[REG_RCX] = 0x5678;
    segue_frame_open(&opened, NULL, &frame.ucontext);
    segue_mutator_from_frame(&context, &opened);
    assert_int_equal(context.regs.rip, 0x5678);
}

/* ---- no child ---- */

static struct segue_clone wanted;
static volatile long returned;

static void clone_the_frame(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info;
    returned = segue_clone(ucontext, &wanted);
}

/* A seccomp filter answers both calls by 0 and makes no child. */
static int clone_under_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    static const uint64_t flags[] = {0, CLEAR_SIGHAND, CLONE_VM, CLONE_VM | CLONE_VFORK, FIXTURE_THREAD_FLAGS};
    static _Alignas(16) char stack[CHILD_STACK];
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    struct sigaction action = {.sa_sigaction = clone_the_frame, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    size_t mappings = 0;
    sigaction(SIGUSR1, &action, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 99;
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
            wanted = (struct segue_clone){.flags = flags[i]};
            if (flags[i] & CLONE_VM)
                wanted.stack_pointer = (uint64_t)(uintptr_t)(stack + sizeof stack);
            returned = -1;
            raise(SIGUSR1);
            if (returned != 0)
                return 1 + (int)i;
        }
        if (round == 0)
            mappings = fixture_count_mappings();
    }
    return fixture_count_mappings() <= mappings + FEW_MAPPINGS ? 0 : 50;
}

static void call_that_makes_no_child_returns_and_keeps_no_pad(void **state)
{
    (void)state;
    begin();
    pid_t process = fork();
    if (process == 0)
        _exit(clone_under_filter());
    assert_int_equal(fixture_wait_for_process(process), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_that_shares_memory_takes_no_pad_of_a_living_thread),
        cmocka_unit_test(threads_that_live_take_no_mappings),
        cmocka_unit_test(a_clone_makes_as_many_calls_with_many_living_children_as_with_none),
        cmocka_unit_test(processes_that_share_memory_leave_nothing_however_they_end),
        cmocka_unit_test(threads_that_end_in_their_start_leave_nothing),
        cmocka_unit_test(more_targets_than_words_are_all_reached),
        cmocka_unit_test(child_with_the_trap_flag_is_trapped_behind_its_first_instruction),
        cmocka_unit_test(child_on_its_way_out_of_a_pad_is_shown_where_it_goes_on),
        cmocka_unit_test(call_that_makes_no_child_returns_and_keeps_no_pad),
        /* From then on no thread is asked about. */
        cmocka_unit_test(process_of_another_namespace_takes_no_pad_of_a_living_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
