/* questions.c: removers and threads that left their fault, or are long in it; what is sent and what is raised; which
 * system calls are made. Each case runs in a process of its own. */
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "signals/threads/thread.h"
#include "tests/support/cases.h"
#include "tests/support/memory/closed.h"

#define PAGE 4096u

static struct segue_mapping one, two;
static volatile int stage, go, asked, handled;
static sigjmp_buf back;

static void touch(const struct segue_mapping *mapping)
{
    *(volatile int *)mapping->memory = 1;
}

static void wait_for_stage(int wanted)
{
    while (stage < wanted)
        sched_yield();
}

static void handler_that_leaves(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

/* ---- removers ------------------------------------------------------------------------------------------------- */

/* Raises the signal inside the fault, open as it is in there, or opened. */
static enum segue_verdict leave_by_signal(void *context, const struct segue_event *event)
{
    sigset_t set;
    (void)context;
    (void)event;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGUSR1);
    return SEGUE_STEP;
}

static int blocks_all, sleeps, attaches;

/* Leaves a fault by a handler's siglongjmp, without the mask where everything is to stay blocked, and works on. */
static void *leave_and_work_on(void *unused)
{
    (void)unused;
    if (attaches)
        segue_thread_attach();
    if (!sigsetjmp(back, !blocks_all))
        touch(&one);
    stage = 1;
    while (!go)
        if (sleeps)
            poll(NULL, 0, 1);
    return NULL;
}

static int leave_and_remove(int blocked, int sleeping, int attached, bool other)
{
    pthread_t thread;
    struct sigaction action = {.sa_handler = handler_that_leaves};
    if (blocked)
        sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    blocks_all = blocked;
    sleeps = sleeping;
    attaches = attached;
    alarm(40);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, leave_by_signal) && closed_add(&two, NULL));
    NEED(pthread_create(&thread, NULL, leave_and_work_on, NULL) == 0);
    wait_for_stage(1);
    if (other)
        NEED(segue_region_remove(two.memory) == SEGUE_OK);
    else
        NEED(segue_region_remove(one.memory) == SEGUE_OK);
    go = 1;
    pthread_join(thread, NULL);
    return 0;
}

static int remove_other_of_blocked(void)
{
    return leave_and_remove(1, 0, 1, true);
}

static int remove_other_of_blocked_sleeper(void)
{
    return leave_and_remove(1, 1, 1, true);
}

static int remove_same_of_blocked_sleeper(void)
{
    return leave_and_remove(1, 1, 1, false);
}

static int remove_same_of_blocked(void)
{
    return leave_and_remove(1, 0, 1, false);
}

static int remove_same_of_open(void)
{
    return leave_and_remove(0, 0, 1, false);
}

static int remove_same_of_open_unattached_sleeper(void)
{
    return leave_and_remove(0, 1, 0, false);
}

static void foreign(int signal)
{
    (void)signal;
    _exit(99);
}

/* Another handler has the signal: it must not get the question. */
static int remove_under_another_handler(void)
{
    struct sigaction action = {.sa_handler = foreign};
    pthread_t thread;
    struct sigaction leave = {.sa_handler = handler_that_leaves};
    sigaction(SIGUSR1, &leave, NULL);
    attaches = 1;
    alarm(40);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, leave_by_signal));
    NEED(pthread_create(&thread, NULL, leave_and_work_on, NULL) == 0);
    wait_for_stage(1);
    sigaction(SIGSEGV, &action, NULL);
    NEED(segue_region_remove(one.memory) == SEGUE_OK);
    go = 1;
    pthread_join(thread, NULL);
    return 0;
}

/* Nothing that is queued has room, and what is sent by kill(2)'s kin loses its siginfo. */
static void fill_queue(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_SIGPENDING, &none);
}

static int remove_with_a_full_queue(void)
{
    fill_queue();
    return leave_and_remove(0, 0, 1, false);
}

static int interruptions, calls;

static enum segue_verdict poll_often(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    stage = 1;
    for (int i = 0; i < 10; i++, calls++)
        interruptions += poll(NULL, 0, 60) < 0;
    return SEGUE_STEP;
}

static void *touch_one(void *unused)
{
    (void)unused;
    touch(&one);
    return NULL;
}

static volatile int removed, removed_too_early;

/* Long enough for a remover that does not wait for it to come back meanwhile. */
static enum segue_verdict stay_inside(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    stage = 1;
    for (int i = 0; i < 50 && !removed; i++)
        poll(NULL, 0, 10);
    removed_too_early = removed;
    return SEGUE_STEP;
}

/* This thread has that number in a PID namespace of its own. */
static void take_number(int number)
{
    identity_self.identity = (struct identity){number, IDENTITY_FAR};
    identity_self.process = (uint32_t)getpid();
}

static volatile int number_of_other;

static void *sleep_on(void *unused)
{
    (void)unused;
    number_of_other = (int)syscall(SYS_gettid);
    while (!go)
        poll(NULL, 0, 1000);
    return NULL;
}

static void *touch_one_as_namesake(void *unused)
{
    (void)unused;
    segue_thread_attach();
    take_number(number_of_other);
    touch(&one);
    go = 1;
    return NULL;
}

static int remove_while_a_namesake_sleeps(void)
{
    pthread_t sleeper, thread;
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, stay_inside));
    NEED(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0);
    while (!number_of_other)
        sched_yield();
    NEED(pthread_create(&thread, NULL, touch_one_as_namesake, NULL) == 0);
    wait_for_stage(1);
    NEED(segue_region_remove(one.memory) == SEGUE_OK);
    removed = 1;
    pthread_join(thread, NULL);
    pthread_join(sleeper, NULL);
    return removed_too_early;
}

static void *touch_one_and_tell(void *unused)
{
    number_of_other = (int)syscall(SYS_gettid);
    return touch_one(unused);
}

/* The second fault finds that the first is over. */
static void *leave_two_as_namesake(void *unused)
{
    take_number(number_of_other);
    for (volatile int i = 0; i < 2; i++)
        if (!sigsetjmp(back, 1))
            touch(&two);
    return unused;
}

static int remove_while_a_namesake_leaves(void)
{
    pthread_t inside, thread;
    signal(SIGUSR1, handler_that_leaves);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, stay_inside) && closed_add(&two, leave_by_signal));
    NEED(pthread_create(&inside, NULL, touch_one_and_tell, NULL) == 0);
    wait_for_stage(1);
    NEED(pthread_create(&thread, NULL, leave_two_as_namesake, NULL) == 0);
    pthread_join(thread, NULL);
    NEED(segue_region_remove(one.memory) == SEGUE_OK);
    removed = 1;
    pthread_join(inside, NULL);
    return removed_too_early;
}

static int remove_while_a_policy_polls(void)
{
    pthread_t thread;
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, poll_often));
    NEED(pthread_create(&thread, NULL, touch_one, NULL) == 0);
    wait_for_stage(1);
    mprotect(one.memory, PAGE, PROT_READ | PROT_WRITE);
    NEED(segue_region_remove(one.memory) == SEGUE_OK);
    NEED(calls == 10 && interruptions == 0);
    pthread_join(thread, NULL);
    return 0;
}

static volatile int policy_is_in, removal_returned_meanwhile;

static enum segue_verdict stay_a_while(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    policy_is_in = 1;
    stage = 1;
    for (int i = 0; i < 60; i++) {
        poll(NULL, 0, 10);
        if (stage == 2)
            removal_returned_meanwhile = 1;
    }
    policy_is_in = 0;
    return SEGUE_STEP;
}

/* In a process that shares the memory: another thread group. */
static int remove_in_process_that_shares(void *unused)
{
    (void)unused;
    enum segue_status status = segue_region_remove(one.memory);
    stage = 2;
    _exit(status == SEGUE_OK && !policy_is_in ? 0 : 1);
}

static int remove_from_a_sharing_process(int flags)
{
    static char stack[1 << 17] __attribute__((aligned(16)));
    pthread_t thread;
    int status = 0;
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, stay_a_while));
    NEED(pthread_create(&thread, NULL, touch_one, NULL) == 0);
    wait_for_stage(1);
    mprotect(one.memory, PAGE, PROT_READ | PROT_WRITE);
    int child = clone(remove_in_process_that_shares, stack + sizeof stack, CLONE_VM | SIGCHLD | flags, NULL);
    if (child < 0 && errno == EPERM)
        return CASE_SKIPPED;
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    NEED(!removal_returned_meanwhile);
    pthread_join(thread, NULL);
    return 0;
}

static int remove_from_a_process_that_shares_memory(void)
{
    return remove_from_a_sharing_process(0);
}

static int remove_from_another_namespace(void)
{
    return remove_from_a_sharing_process(CLONE_NEWPID);
}

/* The parent's thread is in a policy; a child of a raw fork has its ticket, and not its thread. */
static int remove_in_a_raw_fork(void)
{
    pthread_t thread;
    int status = 0;
    alarm(40);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, stay_a_while));
    NEED(pthread_create(&thread, NULL, touch_one, NULL) == 0);
    wait_for_stage(1);
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        alarm(20);
        mprotect(one.memory, PAGE, PROT_READ | PROT_WRITE);
        _exit(segue_region_remove(one.memory) == SEGUE_OK ? 0 : 1);
    }
    NEED(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pthread_join(thread, NULL);
    return 0;
}

/* ---- suspension with a full queue ----------------------------------------------------------------------------- */

static volatile int rounds, blocks, unblocks;
static volatile segue_thread_id spinner;

static void *spin(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXCPU);
    if (blocks)
        pthread_sigmask(SIG_BLOCK, &set, NULL);
    spinner = segue_thread_self();
    while (!go) {
        if (unblocks) {
            pthread_sigmask(SIG_UNBLOCK, &set, NULL);
            unblocks = 0;
        }
        rounds = rounds + 1;
        sched_yield();
    }
    return unused;
}

static void wait_for_round(void)
{
    int before = rounds;
    while (rounds == before)
        sched_yield();
}

/* From now on, of a thread that spins. */
static bool suspends_with_a_full_queue(pthread_t *thread)
{
    fill_queue();
    if (segue_suspend_install(NULL) != SEGUE_OK || pthread_create(thread, NULL, spin, NULL) != 0)
        return false;
    while (!spinner)
        sched_yield();
    return true;
}

static int end_spinning(pthread_t thread)
{
    go = 1;
    pthread_join(thread, NULL);
    return 0;
}

static int suspend_with_a_full_queue(void)
{
    pthread_t thread;
    struct segue_suspension suspension = {0};
    NEED(suspends_with_a_full_queue(&thread));
    suspension.thread = spinner;
    for (int i = 0; i < 100; i++) {
        NEED(segue_thread_suspend(&suspension, 10000000000) == SEGUE_OK);
        NEED(segue_thread_resume(&suspension) == SEGUE_OK);
        if (i % 10 == 0)
            wait_for_round();
    }
    return end_spinning(thread);
}

/* The question is given up; its signal arrives when no remover waits any more, and once more behind another question.
 */
static int suspend_late_with_a_full_queue(void)
{
    pthread_t thread;
    struct segue_suspension suspension = {0};
    blocks = 1;
    NEED(suspends_with_a_full_queue(&thread));
    suspension.thread = spinner;
    NEED(segue_thread_suspend(&suspension, 1000000) == SEGUE_TIMEOUT);
    unblocks = 1;
    while (unblocks)
        wait_for_round();
    wait_for_round();
    for (int i = 0; i < 100; i++) {
        NEED(segue_thread_suspend(&suspension, 10000000000) == SEGUE_OK);
        NEED(segue_thread_resume(&suspension) == SEGUE_OK);
        /* Some are given up on the way. */
        enum segue_status status = segue_thread_suspend(&suspension, 1000);
        NEED(status == SEGUE_OK || status == SEGUE_TIMEOUT);
        NEED(status != SEGUE_OK || segue_thread_resume(&suspension) == SEGUE_OK);
    }
    wait_for_round();
    return end_spinning(thread);
}

/* As soon as one is given up the next one begins: the handler finds the one, or the other. */
static int suspend_again_with_a_full_queue(void)
{
    pthread_t thread;
    struct segue_suspension suspension = {0};
    NEED(suspends_with_a_full_queue(&thread));
    suspension.thread = spinner;
    for (uint64_t i = 0; i < 20000; i++) {
        enum segue_status status = segue_thread_suspend(&suspension, i * 7919 % 30000);
        NEED(status == SEGUE_OK || status == SEGUE_TIMEOUT);
        NEED(status != SEGUE_OK || segue_thread_resume(&suspension) == SEGUE_OK);
    }
    NEED(segue_thread_suspend(&suspension, 10000000000) == SEGUE_OK);
    NEED(segue_thread_resume(&suspension) == SEGUE_OK);
    wait_for_round();
    return end_spinning(thread);
}

/* ---- default deaths ------------------------------------------------------------------------------------------- */

/* What a core would contain: the siginfo of the signal that the process dies of, as its tracer sees it. */
static int die_with_a_full_queue(void)
{
    siginfo_t info = {0};
    int status = 0, stops = 0;
    pid_t child = fork();
    if (child == 0) {
        fill_queue();
        if (segue_install(NULL) != SEGUE_OK || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        __asm__ volatile("movl $1, 8");
        _exit(2);
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        NEED(ptrace(PTRACE_GETSIGINFO, child, NULL, &info) == 0 && ++stops < 10);
        NEED(ptrace(PTRACE_CONT, child, NULL, (void *)(intptr_t)WSTOPSIG(status)) == 0);
    }
    NEED(stops == 2 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    NEED(info.si_code == SEGV_MAPERR && info.si_addr == (void *)8);
    return 0;
}

/* ---- sent or raised ------------------------------------------------------------------------------------------- */

static void *volatile told;

static void note(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)ucontext;
    told = info->si_addr;
    handled++;
}

static enum segue_verdict try_again(void *context, const struct segue_event *event)
{
    (void)context;
    asked++;
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_RETRY;
}

static int send_itself(int number, int code, void *address)
{
    siginfo_t info = {.si_signo = number, .si_code = code};
    info.si_addr = address;
    return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), number, &info);
}

/* As crash reporters do: after a fault that was served, a siginfo with a kernel's code, that fault's own included. */
static int send_kernel_codes(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    for (size_t i = 0; i < 3; i++)
        sigaction(numbers[i], &action, NULL);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, try_again));
    touch(&one);
    NEED(asked == 1 && handled == 0);
    asked = 0;
    NEED(send_itself(SIGSEGV, SEGV_MAPERR, (void *)8) == 0 && handled == 1 && told == (void *)8);
    NEED(send_itself(SIGSEGV, SEGV_ACCERR, one.memory) == 0 && handled == 2 && told == one.memory);
    NEED(send_itself(SIGSEGV, SI_KERNEL, NULL) == 0 && handled == 3);
    NEED(send_itself(SIGBUS, BUS_ADRERR, one.memory) == 0 && handled == 4);
    NEED(send_itself(SIGFPE, FPE_INTDIV, (void *)16) == 0 && handled == 5);
    NEED(asked == 0);
    touch(&one);
    NEED(asked == 1 && handled == 5 && *(int *)one.alias == 1);
    return 0;
}

/* Sent while it is blocked, it comes when a handler returns, in the middle of anything. */
static int send_blocked(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigset_t set;
    sigaction(SIGSEGV, &action, NULL);
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, try_again));
    touch(&one);
    asked = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    NEED(send_itself(SIGSEGV, SEGV_ACCERR, one.memory) == 0 && handled == 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    NEED(handled == 1 && asked == 0 && told == one.memory);
    return 0;
}

/* The embedder's own handler receives the same. */
static void read_fault(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    stage = segue_frame_open(&frame, info, ucontext) == SEGUE_NOT_FOUND ? 1 : 2;
}

static int read_sent(void)
{
    struct sigaction action = {.sa_sigaction = read_fault, .sa_flags = SA_SIGINFO};
    NEED(segue_install(NULL) == SEGUE_OK && closed_add(&one, try_again));
    touch(&one);
    sigaction(SIGSEGV, &action, NULL);
    NEED(send_itself(SIGSEGV, SEGV_ACCERR, one.memory) == 0 && stage == 1);
    return 0;
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

static const struct child_case cases[] = {
    CASE(remove_other_of_blocked),
    CASE(remove_other_of_blocked_sleeper),
    CASE(remove_same_of_blocked_sleeper),
    CASE(remove_same_of_blocked),
    CASE(remove_same_of_open),
    CASE(remove_same_of_open_unattached_sleeper),
    CASE(remove_under_another_handler),
    CASE(remove_with_a_full_queue),
    CASE(die_with_a_full_queue),
    CASE(remove_while_a_policy_polls),
    CASE(remove_from_a_process_that_shares_memory),
    CASE(remove_from_another_namespace),
    CASE(remove_in_a_raw_fork),
    CASE(remove_while_a_namesake_sleeps),
    CASE(remove_while_a_namesake_leaves),
    CASE(suspend_with_a_full_queue),
    CASE(suspend_late_with_a_full_queue),
    CASE(suspend_again_with_a_full_queue),
    CASE(send_kernel_codes),
    CASE(send_blocked),
    CASE(read_sent),
};

static void remover_of_another_region_does_not_wait_for_who_left_with_the_signal_blocked(void **state)
{
    (void)state;
    case_run("remove_other_of_blocked");
    case_run("remove_other_of_blocked_sleeper");
}

static void remover_sees_where_a_thread_stands_that_waits(void **state)
{
    (void)state;
    case_run("remove_same_of_blocked_sleeper");
    case_run("remove_same_of_open_unattached_sleeper");
}

static void thread_that_left_and_runs_on_is_asked(void **state)
{
    (void)state;
    case_run("remove_same_of_blocked");
    case_run("remove_under_another_handler");
    case_run("remove_same_of_open");
}

static void question_that_a_full_queue_robbed_is_known(void **state)
{
    (void)state;
    case_run("remove_with_a_full_queue");
}

static void default_death_keeps_its_siginfo_with_a_full_queue(void **state)
{
    (void)state;
    case_run("die_with_a_full_queue");
}

static void suspension_whose_signal_a_full_queue_robbed_is_known(void **state)
{
    (void)state;
    case_run("suspend_with_a_full_queue");
    case_run("suspend_late_with_a_full_queue");
    case_run("suspend_again_with_a_full_queue");
}

static void remover_interrupts_no_policy(void **state)
{
    (void)state;
    case_run("remove_while_a_policy_polls");
}

static void remover_in_a_process_that_shares_memory_waits_for_policies(void **state)
{
    (void)state;
    case_run("remove_from_a_process_that_shares_memory");
}

static void remover_in_another_namespace_waits_for_policies(void **state)
{
    (void)state;
    case_run("remove_from_another_namespace");
}

static void remover_in_a_raw_fork_does_not_wait_for_threads_of_its_parent(void **state)
{
    (void)state;
    case_run("remove_in_a_raw_fork");
}

static void thread_of_another_namespace_with_the_same_number_is_another(void **state)
{
    (void)state;
    case_run("remove_while_a_namesake_sleeps");
    case_run("remove_while_a_namesake_leaves");
}

static void signal_with_a_kernels_code_that_a_program_sent_is_no_fault(void **state)
{
    (void)state;
    case_run("send_kernel_codes");
    case_run("send_blocked");
    case_run("read_sent");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remover_of_another_region_does_not_wait_for_who_left_with_the_signal_blocked),
        cmocka_unit_test(remover_sees_where_a_thread_stands_that_waits),
        cmocka_unit_test(thread_that_left_and_runs_on_is_asked),
        cmocka_unit_test(question_that_a_full_queue_robbed_is_known),
        cmocka_unit_test(default_death_keeps_its_siginfo_with_a_full_queue),
        cmocka_unit_test(suspension_whose_signal_a_full_queue_robbed_is_known),
        cmocka_unit_test(remover_interrupts_no_policy),
        cmocka_unit_test(remover_in_a_process_that_shares_memory_waits_for_policies),
        cmocka_unit_test(remover_in_another_namespace_waits_for_policies),
        cmocka_unit_test(remover_in_a_raw_fork_does_not_wait_for_threads_of_its_parent),
        cmocka_unit_test(thread_of_another_namespace_with_the_same_number_is_another),
        cmocka_unit_test(signal_with_a_kernels_code_that_a_program_sent_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
