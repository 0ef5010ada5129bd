/* waits.c: a thread that waits for another one sleeps meanwhile. A loop around sched_yield would never end where a
 * real-time thread has preempted the other one. The kernel holds a system call of the one up (a filter that asks the
 * test), and shows in /proc that the other one has gone to sleep. Each case runs in a process of its own. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "patch/poke/poke.h"
#include "platform/process/once.h"
#include "tests/support/cases.h"
#include "tests/support/threads/in_call.h"

#define PAGE 4096u
/* How often a thread is looked at, a tenth of a millisecond apart, before it counts as one that never sleeps. */
#define LOOKS 50000

/* ---- two threads --------------------------------------------------------------------------------------------- */

static struct {
    /* What the first thread does, and the call in it that is held up. */
    bool (*first)(void);
    int held_call;
    volatile int listener;
    /* What the second one does meanwhile, and its number. */
    bool (*second)(void);
    volatile int number;
} test;

/* This thread's calls of that number wait for the owner of the descriptor. */
static int hold_calls(int call)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void *be_first(void *unused)
{
    (void)unused;
    test.listener = hold_calls(test.held_call);
    return (void *)(uintptr_t)(test.listener > 0 && test.first());
}

static void *be_second(void *unused)
{
    (void)unused;
    test.number = (int)syscall(SYS_gettid);
    return (void *)(uintptr_t)test.second();
}

static bool comes_to_sleep(const volatile int *thread)
{
    const struct timespec time = {.tv_nsec = 100000};
    for (unsigned i = 0; i < LOOKS; i++) {
        if (*thread && is_in_call(*thread, SYS_futex))
            return true;
        nanosleep(&time, NULL);
    }
    return false;
}

static bool is_answered(const struct seccomp_notif *held)
{
    struct seccomp_notif_resp answer = {.id = held->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    return ioctl(test.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0;
}

/* The first MREMAP makes the second view of the code, before any thread has won the race to place it. The first time
 * that threads serialise is before a breakpoint stands. */
static bool comes_too_early(const struct seccomp_notif *held)
{
    static bool has_come;
    bool is_first = !has_come && (held->data.nr == SYS_membarrier || held->data.nr == SYS_mremap);
    has_come = has_come || is_first;
    return is_first;
}

static bool holds_call(struct seccomp_notif *held)
{
    do
        memset(held, 0, sizeof *held);
    while (ioctl(test.listener, SECCOMP_IOCTL_NOTIF_RECV, held) == 0 && comes_too_early(held) && is_answered(held));
    return held->id != 0;
}

/* Lets go what the first thread still calls, until it ends. */
static void *let_all_go(void *unused)
{
    struct seccomp_notif held = {0};
    while (ioctl(test.listener, SECCOMP_IOCTL_NOTIF_RECV, &held) == 0) {
        is_answered(&held);
        memset(&held, 0, sizeof held);
    }
    return unused;
}

/* The second thread sleeps while the first is held up, and both end well. */
static int second_sleeps(bool (*first)(void), int held_call, bool (*second)(void))
{
    pthread_t threads[2], answerer;
    struct seccomp_notif held;
    void *result[2];
    test.first = first;
    test.held_call = held_call;
    test.second = second;
    alarm(50);
    NEED(pthread_create(&threads[0], NULL, be_first, NULL) == 0);
    while (!test.listener)
        sched_yield();
    if (test.listener < 0)
        return CASE_SKIPPED;
    NEED(holds_call(&held));
    NEED(pthread_create(&threads[1], NULL, be_second, NULL) == 0);
    bool sleeps = comes_to_sleep(&test.number);
    NEED(is_answered(&held));
    NEED(pthread_create(&answerer, NULL, let_all_go, NULL) == 0);
    pthread_join(threads[0], &result[0]);
    pthread_join(threads[1], &result[1]);
    NEED(result[0] && result[1]);
    NEED(sleeps);
    return 0;
}

/* ---- work that is done once ----------------------------------------------------------------------------------- */

static unsigned times_done;

static bool work_that_waits(void)
{
    const struct timespec none = {0};
    times_done++;
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &none, NULL) == 0;
}

static bool do_once(void)
{
    static struct once done;
    return once(&done, work_that_waits) && times_done == 1;
}

static int once_case(void)
{
    return second_sleeps(do_once, SYS_clock_nanosleep, do_once);
}

/* ---- the memory of replayed instructions ------------------------------------------------------------------------ */

static bool prepare_replay(void)
{
    return segue_replay_prepare() == SEGUE_OK;
}

static int replay_case(void)
{
    return second_sleeps(prepare_replay, SYS_mremap, prepare_replay);
}

/* ---- code that is changed ------------------------------------------------------------------------------------- */

static char *code;

static bool prepare_code(void)
{
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || poke_prepare() != SEGUE_OK)
        return false;
    memset(code, 0x90, PAGE);
    code[PAGE - 1] = (char)0xc3;
    return mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0;
}

static bool poke_until_done(void)
{
    enum segue_status status = SEGUE_BUSY;
    while (status == SEGUE_BUSY)
        status = poke_byte((uint64_t)(uintptr_t)code, 0x90, POKE_PROTECT);
    return status == SEGUE_OK;
}

static int poke_case(void)
{
    NEED(prepare_code());
    return second_sleeps(poke_until_done, SYS_mprotect, poke_until_done);
}

static bool fork_and_wait(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, &status, 0);
    return status == 0;
}

static int fork_case(void)
{
    NEED(prepare_code());
    return second_sleeps(poke_until_done, SYS_mprotect, fork_and_wait);
}

/* Three bytes of an instruction that lie in two words, so that they are published behind a breakpoint. */
#define SITE (PAGE - 16 - 1)

static bool poke_site(void)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x00};
    return poke((uint64_t)(uintptr_t)code + SITE, nop, sizeof nop, POKE_PROTECT) == SEGUE_OK;
}

static void go_back_to_site(int number, siginfo_t *info, void *ucontext)
{
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    struct poke_thread thread = {.rip = (uint64_t)regs[REG_RIP]};
    (void)number;
    (void)info;
    if (!poke_trap(&thread))
        _exit(2);
    regs[REG_RIP] = (greg_t)thread.rip;
}

static bool run_site(void)
{
    void (*function)(void);
    const char *site = code + SITE;
    memcpy(&function, &site, sizeof function);
    function();
    return true;
}

static int breakpoint_case(void)
{
    struct sigaction action = {.sa_sigaction = go_back_to_site, .sa_flags = SA_SIGINFO};
    NEED(prepare_code());
    sigaction(SIGTRAP, &action, NULL);
    return second_sleeps(poke_site, SYS_membarrier, run_site);
}

/* ---- the tests ------------------------------------------------------------------------------------------------- */

static const struct child_case cases[] = {
    {"once", once_case}, {"replay", replay_case},         {"poke", poke_case},
    {"fork", fork_case}, {"breakpoint", breakpoint_case},
};

static void passes(const char *name)
{
    struct child_result result = child_run(name);
    if (result.status == CASE_SKIPPED)
        skip_if("the kernel lets no filter ask a thread");
    if (result.status)
        print_error("%s\n", result.output);
    assert_int_equal(result.status, 0);
}

static void second_caller_sleeps_while_work_is_done_once(void **state)
{
    (void)state;
    passes("once");
}

static void second_caller_sleeps_while_stubs_are_placed(void **state)
{
    (void)state;
    passes("replay");
}

static void second_change_of_code_sleeps(void **state)
{
    (void)state;
    passes("poke");
}

static void fork_sleeps_while_code_is_changed(void **state)
{
    (void)state;
    passes("fork");
}

static void thread_at_a_breakpoint_sleeps_while_it_stands(void **state)
{
    (void)state;
    passes("breakpoint");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_caller_sleeps_while_work_is_done_once),
        cmocka_unit_test(second_caller_sleeps_while_stubs_are_placed),
        cmocka_unit_test(second_change_of_code_sleeps),
        cmocka_unit_test(fork_sleeps_while_code_is_changed),
        cmocka_unit_test(thread_at_a_breakpoint_sleeps_while_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
