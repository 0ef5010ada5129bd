/* ctx_shadow.c: a program that knows nothing of the library: what Shadow's tests of clones, forks, threads, signals and
 * spawning do, each case by itself; here clones, files, processes and running other programs, and in
 * ctx_shadow_threads.c the C library's threads and signals. ctx_shadow.sh runs them as they are, and with clone_shim.c.
 *
 *      ctx_shadow              the cases' names
 *      ctx_shadow CASE         0 if all went as with the kernel; else prints what did not */
#include "ctx_shadow.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

extern char **environ;
static char stacks[2][65536] __attribute__((aligned(64)));

int status_of(pid_t process)
{
    int status = -1;
    CHECK(waitpid(process, &status, __WALL) == process);
    return status;
}

/* ---- threads by clone ---- */

static volatile int word, noted;

static int note(void *argument)
{
    noted = (int)(intptr_t)argument;
    /* Nothing of the C library's: the thread has its parent's storage. */
    syscall(SYS_exit, 0);
    return 0;
}

static void wait_for_word(void)
{
    for (int value; (value = word) != 0;)
        syscall(SYS_futex, &word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static int start_thread(int (*function)(void *), void *argument, int flags)
{
    word = -1;
    return clone(function, stacks[0] + sizeof stacks[0],
                 THREAD_FLAGS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | flags, argument, &word, NULL, &word);
}

static void minimal(void)
{
    for (int i = 1; i <= 50; i++) {
        noted = 0;
        CHECK(start_thread(note, (void *)(intptr_t)i, 0) > 0);
        wait_for_word();
        CHECK(noted == i);
    }
}

static void bad_flags(void)
{
    for (int i = 0; i < 200; i++) {
        CHECK(clone(note, stacks[0] + 65536, CLONE_THREAD | SIGCHLD, NULL) == -1 && errno == EINVAL);
        CHECK(clone(note, stacks[0] + 65536, CLONE_SIGHAND | SIGCHLD, NULL) == -1 && errno == EINVAL);
        CHECK(clone(note, stacks[0] + 65536, CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL) == -1 && errno == EINVAL);
        CHECK(clone(note, stacks[0] + 65536, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, &word) == -1 &&
              errno == EINVAL);
    }
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
}

static int clone_parent_is(void *wanted)
{
    noted = getppid() == (int)(intptr_t)wanted ? 1 : 2;
    syscall(SYS_exit, 0);
    return 0;
}

static void clone_parent_of_threads(void)
{
    for (int i = 0; i < 3; i++)
        for (int flag = 0; flag <= CLONE_PARENT; flag += CLONE_PARENT) {
            noted = 0;
            CHECK(start_thread(clone_parent_is, (void *)(intptr_t)getppid(), flag) > 0);
            wait_for_word();
            CHECK(noted == 1);
        }
}

static int exit_later(void *unused)
{
    struct timespec time = {0, 20000000};
    (void)unused;
    syscall(SYS_nanosleep, &time, NULL);
    syscall(SYS_exit_group, 33);
    return 0;
}

static void leader_exits_early(void)
{
    pid_t process = fork();
    if (process == 0) {
        CHECK(start_thread(exit_later, NULL, 0) > 0);
        syscall(SYS_exit, 0);
    }
    CHECK(status_of(process) == 33 << 8);
}

/* ---- files ---- */

static int move_offset(void *descriptor)
{
    syscall(SYS_lseek, (int)(intptr_t)descriptor, 100L, SEEK_SET);
    syscall(SYS_exit, 0);
    return 0;
}

static int close_file(void *descriptor)
{
    syscall(SYS_close, (int)(intptr_t)descriptor);
    syscall(SYS_exit, 0);
    return 0;
}

static void files_are_shared_or_copied(void)
{
    for (int flag = 0; flag <= CLONE_FILES; flag += CLONE_FILES) {
        int descriptor = open("/proc/self/exe", O_RDONLY);
        status_of(clone(move_offset, stacks[0] + 65536, flag | SIGCHLD, (void *)(intptr_t)descriptor));
        CHECK(lseek(descriptor, 0, SEEK_CUR) == 100);
        status_of(clone(close_file, stacks[0] + 65536, flag | SIGCHLD, (void *)(intptr_t)descriptor));
        CHECK((fcntl(descriptor, F_GETFD) == -1) == (flag != 0));
    }
}

/* ---- processes ---- */

static void fork_runs(void)
{
    for (int i = 0; i < 3; i++) {
        pid_t process = i == 0 ? fork() : (pid_t)(i == 1 ? syscall(SYS_fork) : syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
        if (process == 0)
            _exit(i + 5);
        CHECK(status_of(process) == (i + 5) << 8);
    }
}

static void clone_parent_of_processes(void)
{
    for (long flag = 0; flag <= CLONE_PARENT; flag += CLONE_PARENT) {
        pid_t middle = fork();
        if (middle == 0) {
            pid_t wanted = flag ? getppid() : getpid();
            pid_t child = (pid_t)syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);
            if (child == 0)
                _exit(getppid() == wanted ? 9 : 1);
            _exit(flag || status_of(child) == 9 << 8 ? 0 : 1);
        }
        CHECK(status_of(middle) == 0);
        if (flag) {
            int status;
            CHECK(waitpid(-1, &status, __WALL) > 0 && status == 9 << 8);
        }
    }
}

static void session_and_group_change(void)
{
    pid_t process = fork();
    if (process == 0) {
        CHECK(setsid() == getpid());
        _exit(getsid(0) == getpid() && getpgrp() == getpid() ? 4 : 1);
    }
    CHECK(status_of(process) == 4 << 8);
    process = fork();
    if (process == 0) {
        CHECK(setpgid(0, 0) == 0);
        _exit(getpgrp() == getpid() ? 4 : 1);
    }
    CHECK(status_of(process) == 4 << 8);
}

volatile int received;

void receive(int number)
{
    received = number;
}

static void exit_signals(void)
{
    const int signals[] = {SIGCHLD, SIGUSR1, SIGUSR2, SIGRTMIN};
    for (unsigned i = 0; i < 4; i++)
        for (int fatal = 0; fatal < 2; fatal++) {
            signal(signals[i], receive);
            received = 0;
            pid_t process = (pid_t)syscall(SYS_clone, (long)signals[i], 0, 0, 0, 0);
            if (process == 0) {
                if (fatal)
                    kill(getpid(), SIGKILL);
                _exit(3);
            }
            CHECK(status_of(process) == (fatal ? SIGKILL : 3 << 8));
            CHECK(received == signals[i]);
            signal(signals[i], SIG_DFL);
        }
}

static void waits_for_clones_and_all(void)
{
    for (int signal_number = 0; signal_number <= SIGCHLD; signal_number += SIGCHLD) {
        int status;
        pid_t process = (pid_t)syscall(SYS_clone, (long)signal_number, 0, 0, 0, 0);
        if (process == 0)
            _exit(2);
        CHECK(waitpid(process, &status, signal_number ? (int)__WCLONE : 0) == -1 && errno == ECHILD);
        CHECK(waitpid(process, &status, signal_number ? 0 : (int)__WCLONE) == process && status == 2 << 8);
    }
}

struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static pid_t by_clone3(struct clone3_arguments arguments)
{
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static void clone3_handlers_are_cleared(void)
{
    struct sigaction action;
    signal(SIGUSR1, receive);
    for (uint64_t flag = 0; flag <= 0x100000000; flag += 0x100000000) {
        pid_t process = by_clone3((struct clone3_arguments){.flags = flag, .exit_signal = SIGCHLD});
        if (process == 0) {
            sigaction(SIGUSR1, NULL, &action);
            _exit(action.sa_handler == (flag ? SIG_DFL : receive) ? 6 : 1);
        }
        CHECK(status_of(process) == 6 << 8);
    }
}

static void clone3_descriptor_and_number(void)
{
    int descriptor = -1, number = -1;
    pid_t process = by_clone3((struct clone3_arguments){.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                                                        .pidfd = (uintptr_t)&descriptor,
                                                        .parent_tid = (uintptr_t)&number,
                                                        .exit_signal = SIGCHLD});
    if (process == 0)
        _exit(7);
    struct pollfd poller = {descriptor, POLLIN, 0};
    CHECK(number == process);
    CHECK(poll(&poller, 1, 5000) == 1);
    CHECK(status_of(process) == 7 << 8);
    CHECK(by_clone3((struct clone3_arguments){.exit_signal = 65}) == -1 && errno == EINVAL);
}

static void child_has_the_mask_and_dies_of_signals(void)
{
    sigset_t set, present;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t process = fork();
    if (process == 0) {
        sigprocmask(SIG_BLOCK, NULL, &present);
        _exit(sigismember(&present, SIGUSR2) && sigismember(&present, SIGHUP) && !sigismember(&present, SIGINT) ? 8
                                                                                                                : 1);
    }
    CHECK(status_of(process) == 8 << 8);
    process = fork();
    if (process == 0) {
        raise(SIGTERM);
        _exit(1);
    }
    CHECK(status_of(process) == SIGTERM);
}

/* ---- to run another program ---- */

static void exec_true(void)
{
    char *arguments[] = {(char *)"true", NULL};
    execve("/bin/true", arguments, environ);
    _exit(127);
}

static void exec_after_fork(void)
{
    pid_t process = fork();
    if (process == 0)
        exec_true();
    CHECK(status_of(process) == 0);
}

/* What it has on its stack, before and after. */
static bool is_filled(const volatile unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(i * 7))
            return false;
    return true;
}

static void fill(volatile unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7);
}

__attribute__((noinline)) static void run_over(void)
{
    volatile unsigned char bytes[30000];
    fill(bytes, sizeof bytes);
}

static void vfork_works_and_exits(void)
{
    volatile unsigned char bytes[500];
    fill(bytes, sizeof bytes);
    for (int i = 0; i < 20; i++) {
        noted = 0;
        pid_t process = vfork();
        if (process == 0) {
            run_over();
            noted = 5;
            _exit(11);
        }
        CHECK(noted == 5);
        CHECK(status_of(process) == 11 << 8);
        CHECK(is_filled(bytes, sizeof bytes));
    }
}

static void handle_on_stack(int number)
{
    received = number;
    run_over();
}

static void vfork_is_signalled(void)
{
    struct sigaction action = {.sa_handler = handle_on_stack, .sa_flags = SA_ONSTACK};
    volatile unsigned char bytes[500];
    fill(bytes, sizeof bytes);
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 20; i++) {
        received = 0;
        pid_t process = vfork();
        if (process == 0) {
            kill(getpid(), SIGUSR1);
            _exit(received == SIGUSR1 ? 12 : 1);
        }
        CHECK(status_of(process) == 12 << 8);
        CHECK(is_filled(bytes, sizeof bytes));
    }
}

static void exec_after_vfork(void)
{
    volatile unsigned char bytes[500];
    fill(bytes, sizeof bytes);
    pid_t process = vfork();
    if (process == 0)
        exec_true();
    CHECK(status_of(process) == 0);
    CHECK(is_filled(bytes, sizeof bytes));
}

static void exec_after_vfork_by_instruction(void)
{
    static char *arguments[] = {(char *)"true", NULL};
    long result;
    __asm__ volatile("movl %1, %%eax\n\t"
                     "syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "leaq %3, %%rdi\n\t"
                     "movq %4, %%rsi\n\t"
                     "xorl %%edx, %%edx\n\t"
                     "movl %2, %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:"
                     : "=&a"(result)
                     : "i"(SYS_vfork), "i"(SYS_execve), "m"(*"/bin/true"), "r"(&arguments)
                     : "rdi", "rsi", "rdx", "rcx", "r11", "memory");
    CHECK(result > 0);
    CHECK(status_of((pid_t)result) == 0);
}

static void exec_by_posix_spawn(void)
{
    char *arguments[] = {(char *)"true", NULL}, *missing[] = {(char *)"missing", NULL};
    pid_t process;
    for (int i = 0; i < 5; i++) {
        CHECK(posix_spawn(&process, "/bin/true", NULL, NULL, arguments, environ) == 0);
        CHECK(status_of(process) == 0);
        CHECK(posix_spawn(&process, "/nowhere/missing", NULL, NULL, missing, environ) == ENOENT);
    }
}

static void exec_by_system_and_popen(void)
{
    char line[32] = "";
    CHECK(system("exit 3") == 3 << 8);
    FILE *pipe = popen("echo said", "r");
    CHECK(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "said\n") == 0);
    CHECK(pclose(pipe) == 0);
}

static void *exec_here(void *unused)
{
    (void)unused;
    exec_true();
    return NULL;
}

static void exec_from_a_thread(void)
{
    pid_t process = fork();
    if (process == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, exec_here, NULL) == 0);
        for (;;)
            pause();
    }
    CHECK(status_of(process) == 0);
}

static void exec_unshares_descriptors(void)
{
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t process = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (process == 0)
        exec_true();
    CHECK(status_of(process) == 0);
    CHECK(fcntl(descriptor, F_GETFD) == FD_CLOEXEC);
}

static const struct shadow_case cases[] = {
    CASE(minimal),
    CASE(bad_flags),
    CASE(clone_parent_of_threads),
    CASE(leader_exits_early),
    CASE(files_are_shared_or_copied),
    CASE(fork_runs),
    CASE(clone_parent_of_processes),
    CASE(session_and_group_change),
    CASE(exit_signals),
    CASE(waits_for_clones_and_all),
    CASE(clone3_handlers_are_cleared),
    CASE(clone3_descriptor_and_number),
    CASE(child_has_the_mask_and_dies_of_signals),
    CASE(exec_after_fork),
    CASE(vfork_works_and_exits),
    CASE(vfork_is_signalled),
    CASE(exec_after_vfork),
    CASE(exec_after_vfork_by_instruction),
    CASE(exec_by_posix_spawn),
    CASE(exec_by_system_and_popen),
    CASE(exec_from_a_thread),
    CASE(exec_unshares_descriptors),
    {0},
};

static void run_or_list(const struct shadow_case *next, const char *wanted)
{
    for (; next->name; next++) {
        if (!wanted)
            puts(next->name);
        else if (strcmp(wanted, next->name) == 0) {
            alarm(60);
            next->run();
            _exit(0);
        }
    }
}

int main(int argc, char **argv)
{
    run_or_list(cases, argc < 2 ? NULL : argv[1]);
    run_or_list(thread_cases, argc < 2 ? NULL : argv[1]);
    return argc < 2 ? 0 : 3;
}
