/* filters.c: which system calls are made, shown by real filters that kill whoever makes another; strict mode; and what
 * asynchronous signals find with each flag of segue_install. Each case runs in a process of its own. */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/cases.h"
#include "tests/support/memory/closed.h"

#define PAGE 4096u

static struct segue_mapping closed;
static volatile int asked;
static volatile segue_thread_id thread_told;

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    asked++;
    thread_told = event->thread;
    return SEGUE_STEP;
}

static enum segue_status install(uint32_t flags)
{
    const struct segue_options options = {.flags = flags};
    return segue_install(&options);
}

/* By each engine: a move, a locked instruction, a vector, a string, the stack. */
static void touch_by_each_engine(void)
{
    char *memory = closed.memory, *to = memory + 512, *from = memory + 1024;
    size_t count = 64;
    *(volatile int *)memory = 1;
    __asm__ volatile("lock incl (%0)" ::"r"(memory) : "memory");
    __asm__ volatile("movdqu (%0), %%xmm0; movdqu %%xmm0, 64(%0)" ::"r"(memory) : "memory", "xmm0");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    __asm__ volatile("push (%0); pop 8(%0)" ::"r"(memory) : "memory");
}

/* Ends the thread, and with it a process that has no other, by what strict mode allows. */
static void end_strictly(int status)
{
    syscall(SYS_exit, status);
}

/* ---- strict mode ---------------------------------------------------------------------------------------------- */

/* For 32-bit code the kernel lets sigreturn pass, by which a handler with a siginfo does not return. */
#define IS_STRICT_WITHOUT_RETURN (sizeof(void *) < 8)

/* The first fault comes when it is too late for any call but sigreturn. */
static int touch_strictly(uint32_t flags)
{
    if (IS_STRICT_WITHOUT_RETURN)
        return CASE_SKIPPED;
    NEED(install(flags) == SEGUE_OK && closed_add(&closed, step));
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (int i = 0; i < 3; i++)
        touch_by_each_engine();
    end_strictly(asked == 24 && *(int *)closed.alias == 2 ? 0 : 1);
    return 1;
}

static int strict_by_default(void)
{
    return touch_strictly(0);
}

static int strict_open(void)
{
    return touch_strictly(SEGUE_INSTALL_OPEN_SIGNALS);
}

static int strict_collector(void)
{
    return touch_strictly(SEGUE_INSTALL_COLLECTOR);
}

static int strict_blocking(void)
{
    return touch_strictly(SEGUE_INSTALL_BLOCK_SIGNALS);
}

static volatile int number, ended;

static void *touch_strictly_in_thread(void *unused)
{
    (void)unused;
    number = (int)syscall(SYS_gettid);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    touch_by_each_engine();
    __atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
    end_strictly(0);
    return NULL;
}

/* A thread that never attached. The C library shows its number; where it does not, it is asked for by a call. */
static int strict_thread(void)
{
    pthread_t thread;
    if (IS_STRICT_WITHOUT_RETURN)
        return CASE_SKIPPED;
    NEED(install(0) == SEGUE_OK && closed_add(&closed, step));
    NEED(pthread_create(&thread, NULL, touch_strictly_in_thread, NULL) == 0);
    alarm(20);
    while (!__atomic_load_n(&ended, __ATOMIC_ACQUIRE))
        sched_yield();
    NEED(thread_told == (segue_thread_id)number && asked == 8);
    return 0;
}

/* ---- filters -------------------------------------------------------------------------------------------------- */

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* The process may make only these calls. */
static bool allow_only(const int *calls, size_t count, uint32_t otherwise)
{
    struct sock_filter code[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short length = 1;
    for (size_t i = 0; i < count; i++) {
        const struct sock_filter allow[] = {ALLOW((unsigned)calls[i])};
        memcpy(code + length, allow, sizeof allow);
        length = (unsigned short)(length + 2);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
    const struct sock_fprog program = {length, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* docs/signals.md "System calls": the way of a fault. */
static const int calls_of_a_fault[] = {SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_exit_group, SYS_exit};

static int filter_default(void)
{
    NEED(install(0) == SEGUE_OK && closed_add(&closed, step));
    NEED(allow_only(calls_of_a_fault, COUNT(calls_of_a_fault), SECCOMP_RET_KILL_PROCESS));
    for (int i = 0; i < 3; i++)
        touch_by_each_engine();
    _exit(asked == 24 ? 0 : 1);
}

/* With signals let in no call is made at all, once each site was seen, where no policy is asked; in 32-bit code but the
 * one of the way back. */
static int filter_open(void)
{
    const int calls[] = {SYS_exit_group, sizeof(void *) == 8 ? SYS_exit_group : SYS_rt_sigreturn};
    NEED(install(SEGUE_INSTALL_OPEN_SIGNALS) == SEGUE_OK && closed_add(&closed, NULL));
    NEED(allow_only(calls, COUNT(calls), SECCOMP_RET_KILL_PROCESS));
    for (int i = 0; i < 3; i++)
        touch_by_each_engine();
    _exit(asked == 0 ? 0 : 1);
}

static void skip_and_count(int signal, siginfo_t *info, void *ucontext)
{
    (void)signal;
    (void)ucontext;
    if (info->si_addr == (void *)8)
        _exit(0);
    _exit(1);
}

/* Handed on to the program's handler. */
static int filter_handed_on(void)
{
    struct sigaction action = {.sa_sigaction = skip_and_count, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    NEED(install(0) == SEGUE_OK && closed_add(&closed, step));
    NEED(allow_only(calls_of_a_fault, COUNT(calls_of_a_fault), SECCOMP_RET_KILL_PROCESS));
    __asm__ volatile("movl $1, 8");
    return 1;
}

/* A filter that came later refuses the mask: it is put back all the same. */
static int filter_refuses_mask(void)
{
    const int calls[] = {SYS_rt_sigreturn, SYS_exit_group};
    NEED(install(0) == SEGUE_OK && closed_add(&closed, step));
    touch_by_each_engine();
    NEED(allow_only(calls, COUNT(calls), SECCOMP_RET_ERRNO | EPERM));
    touch_by_each_engine();
    /* The alternate stack, in use or with its signals blocked, would show in the frame of the next fault. */
    touch_by_each_engine();
    _exit(asked == 24 ? 0 : 1);
}

/* A filter refuses sigaction: nothing is installed, and errno has the filter's answer. */
static int filter_refuses_actions(void)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENETDOWN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {COUNT(code), (struct sock_filter *)(uintptr_t)code};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    errno = 0;
    NEED(segue_install(NULL) == SEGUE_SYSTEM && errno == ENETDOWN);
    NEED(strstr(segue_reason(), "errno says why"));
    errno = 0;
    NEED(segue_suspend_install(NULL) == SEGUE_SYSTEM && errno == ENETDOWN);
    NEED(strstr(segue_reason(), "errno says why"));
    NEED(segue_install_check(NULL) == SEGUE_NOT_FOUND && segue_suspend_check(NULL) == SEGUE_NOT_FOUND);
    return 0;
}

/* ---- asynchronous signals ------------------------------------------------------------------------------------- */

static volatile int arrived, arrived_in_policy, arrived_in_fault, arrived_on_alternate;

static void note_arrival(int signal)
{
    stack_t present;
    (void)signal;
    sigaltstack(NULL, &present);
    arrived++;
    arrived_in_fault += segue_in_fault();
    arrived_on_alternate += (present.ss_flags & SS_ONSTACK) != 0;
}

static enum segue_verdict send_to_itself(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    int before = arrived;
    raise(SIGUSR1);
    arrived_in_policy += arrived - before;
    return SEGUE_STEP;
}

static int signal_in_fault(uint32_t flags)
{
    struct sigaction action = {.sa_handler = note_arrival};
    sigset_t mask;
    sigaction(SIGUSR1, &action, NULL);
    NEED(install(flags) == SEGUE_OK && closed_add(&closed, send_to_itself));
    for (int i = 1; i <= 100; i++) {
        *(volatile int *)closed.memory = i;
        NEED(arrived == i);
    }
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int i = 1; i < 65; i++)
        NEED(sigismember(&mask, i) != 1);
    return 0;
}

static int signals_wait_by_default(void)
{
    NEED(signal_in_fault(0) == 0);
    NEED(arrived_in_policy == 0 && arrived_in_fault == 0 && arrived_on_alternate == 0);
    return 0;
}

static int signals_wait_where_asked(void)
{
    NEED(signal_in_fault(SEGUE_INSTALL_BLOCK_SIGNALS | SEGUE_INSTALL_OWN_STACK) == 0);
    NEED(arrived_in_policy == 0 && arrived_in_fault == 0 && arrived_on_alternate == 0);
    return 0;
}

static int signals_come_where_asked(void)
{
    NEED(signal_in_fault(SEGUE_INSTALL_OPEN_SIGNALS) == 0);
    NEED(arrived_in_policy > 0 && arrived_in_fault == 100 && arrived_on_alternate == 100);
    return 0;
}

static int signals_come_on_the_own_stack(void)
{
    stack_t present;
    NEED(signal_in_fault(SEGUE_INSTALL_COLLECTOR) == 0);
    NEED(arrived_in_fault == 100 && arrived_on_alternate == 0);
    sigaltstack(NULL, &present);
    NEED(present.ss_flags & SS_DISABLE);
    return 0;
}

static int attach_is_not_forced(void)
{
    stack_t present;
    NEED(install(SEGUE_INSTALL_NO_ATTACH) == SEGUE_OK);
    sigaltstack(NULL, &present);
    NEED(present.ss_flags & SS_DISABLE);
    NEED(segue_thread_attach() == SEGUE_OK);
    sigaltstack(NULL, &present);
    NEED(!(present.ss_flags & SS_DISABLE));
    NEED(segue_thread_detach() == SEGUE_OK && segue_uninstall(NULL) == SEGUE_OK);
    NEED(install(SEGUE_INSTALL_BLOCK_SIGNALS | SEGUE_INSTALL_OPEN_SIGNALS) == SEGUE_INVALID);
    return 0;
}

static volatile int in_policy, may_go;

static enum segue_verdict wait_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    thread_told = event->thread;
    in_policy = 1;
    while (!may_go)
        sched_yield();
    return SEGUE_STEP;
}

static void *touch_in_thread(void *unused)
{
    (void)unused;
    segue_thread_attach();
    *(volatile int *)closed.memory = 1;
    return NULL;
}

/* Whoever installs the suspension after the handler can suspend a thread in a fault, too. */
static int suspension_installed_later(void)
{
    pthread_t thread;
    struct segue_suspension suspension = {0};
    NEED(install(0) == SEGUE_OK && closed_add(&closed, wait_in_policy));
    NEED(segue_suspend_install(NULL) == SEGUE_OK);
    NEED(pthread_create(&thread, NULL, touch_in_thread, NULL) == 0);
    while (!in_policy)
        sched_yield();
    suspension.thread = thread_told;
    NEED(segue_thread_suspend(&suspension, 10000000000) == SEGUE_OK && suspension.context.in_fault);
    NEED(segue_thread_resume(&suspension) == SEGUE_OK);
    may_go = 1;
    pthread_join(thread, NULL);
    NEED(segue_suspend_uninstall() == SEGUE_OK);
    return 0;
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

static const struct child_case cases[] = {
    CASE(strict_by_default),
    CASE(strict_open),
    CASE(strict_collector),
    CASE(strict_blocking),
    CASE(strict_thread),
    CASE(filter_default),
    CASE(filter_open),
    CASE(filter_handed_on),
    CASE(filter_refuses_mask),
    CASE(filter_refuses_actions),
    CASE(signals_wait_by_default),
    CASE(signals_wait_where_asked),
    CASE(signals_come_where_asked),
    CASE(signals_come_on_the_own_stack),
    CASE(attach_is_not_forced),
    CASE(suspension_installed_later),
};

static void first_fault_in_strict_mode_is_served(void **state)
{
    (void)state;
    case_run("strict_by_default");
    case_run("strict_open");
    case_run("strict_collector");
    case_run("strict_blocking");
}

static void thread_that_never_attached_is_served_in_strict_mode(void **state)
{
    (void)state;
    case_run("strict_thread");
}

static void fault_makes_only_the_calls_that_are_listed(void **state)
{
    (void)state;
    case_run("filter_default");
    case_run("filter_open");
    case_run("filter_handed_on");
}

static void mask_that_a_later_filter_refuses_is_put_back_by_the_kernel(void **state)
{
    (void)state;
    case_run("filter_refuses_mask");
}

static void errno_says_why_an_action_was_refused(void **state)
{
    (void)state;
    case_run("filter_refuses_actions");
}

static void asynchronous_signals_wait_until_the_thread_is_on_its_own_stack(void **state)
{
    (void)state;
    case_run("signals_wait_by_default");
    case_run("signals_wait_where_asked");
}

static void asynchronous_signals_come_where_asked(void **state)
{
    (void)state;
    case_run("signals_come_where_asked");
    case_run("signals_come_on_the_own_stack");
}

static void caller_is_not_attached_where_asked(void **state)
{
    (void)state;
    case_run("attach_is_not_forced");
}

static void suspension_that_is_installed_later_reaches_into_faults(void **state)
{
    (void)state;
    case_run("suspension_installed_later");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_fault_in_strict_mode_is_served),
        cmocka_unit_test(thread_that_never_attached_is_served_in_strict_mode),
        cmocka_unit_test(fault_makes_only_the_calls_that_are_listed),
        cmocka_unit_test(mask_that_a_later_filter_refuses_is_put_back_by_the_kernel),
        cmocka_unit_test(errno_says_why_an_action_was_refused),
        cmocka_unit_test(asynchronous_signals_wait_until_the_thread_is_on_its_own_stack),
        cmocka_unit_test(asynchronous_signals_come_where_asked),
        cmocka_unit_test(caller_is_not_attached_where_asked),
        cmocka_unit_test(suspension_that_is_installed_later_reaches_into_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
