/* Signals that are faults as a rule, sent: in which order they come, by which mask, and with what they say. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int order[16], masks[16], codes[16];
static volatile int count;
static void *volatile address;

static int present_mask(void)
{
    uint64_t mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
    return (int)(mask & 0x7fffffff);
}

static void note(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (count == 16)
        return;
    order[count] = number;
    masks[count] = present_mask();
    codes[count] = info->si_code;
    address = info->si_addr;
    count++;
}

static void take(int number, int with)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    if (with)
        sigaddset(&action.sa_mask, with);
    sigaction(number, &action, NULL);
}

static void tell(const char *what)
{
    printf("%s:", what);
    for (int i = 0; i < count; i++)
        printf(" %d (mask %x, code %d)", order[i], (unsigned)masks[i], codes[i]);
    printf("\n");
    fflush(stdout);
    count = 0;
}

static void change(int how, int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    sigaddset(&set, second);
    sigprocmask(how, &set, NULL);
}

static void in_order(void)
{
    static const int numbers[] = {SIGSYS, SIGSEGV, SIGTRAP, SIGBUS};
    sigset_t set, before;
    sigemptyset(&set);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, &before);
    for (int i = 0; i < 4; i++)
        raise(numbers[i]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    tell("in order");
}

static void by_a_calls_mask(void)
{
    struct timespec soon = {0, 50000000};
    sigset_t none;
    sigemptyset(&none);
    change(SIG_BLOCK, SIGTRAP, SIGSEGV);
    raise(SIGTRAP);
    int result = ppoll(NULL, 0, &soon, &none);
    printf("ppoll %d %d\n", result, result < 0 ? errno : 0);
    tell("pending before ppoll");
    raise(SIGSEGV);
    raise(SIGTRAP);
    result = sigsuspend(&none);
    printf("sigsuspend %d %d\n", result, errno);
    tell("pending before sigsuspend");
    change(SIG_UNBLOCK, SIGTRAP, SIGSEGV);
}

/* The signal that a child ends with, whose code is one of a fault's. */
static void at_a_childs_end(int number)
{
    int status;
    long child = syscall(SYS_clone, (long)number, 0L, NULL, NULL, 0L);
    if (child == 0)
        _exit(5);
    while (waitpid((pid_t)child, &status, __WALL) < 0)
        ;
    printf("child %x\n", (unsigned)status);
    tell("at its end");
}

static void with_a_faults_code(void)
{
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SEGV_MAPERR};
    info.si_addr = (void *)0x12340;
    access("nothing", F_OK);
    syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGSEGV, &info);
    printf("address %lx\n", (unsigned long)address);
    tell("with a fault's code");
}

/* What is pending and not blocked is about to come, and not told. */
static void pending(void)
{
    sigset_t set;
    int told = 0;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        for (int i = 0; i < 2000; i++)
            kill(parent, SIGSEGV);
        _exit(0);
    }
    while (waitpid(child, NULL, WNOHANG) == 0) {
        sigemptyset(&set);
        sigpending(&set);
        told += sigismember(&set, SIGSEGV);
        count = 0;
    }
    count = 0;
    printf("%d told\n", told);
}

/* As many as it can be sent. */
static void flood(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        for (;;) {
            access("nothing", F_OK);
            count = 0;
        }
    }
    usleep(20000);
    for (int i = 0; i < 60000; i++)
        kill(child, SIGSEGV);
    usleep(2000);
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    printf("flooded until %d\n", WTERMSIG(status));
    fflush(stdout);
}

/* A signal before it is made leaves a call what it was. */
static void programs(void)
{
    int folder = open("/bin", O_PATH), status, failed = 0;
    char *const arguments[] = {(char *)"true", NULL}, *const environment[] = {NULL};
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            syscall(SYS_execveat, folder, "true", arguments, environment, 0);
            _exit(9);
        }
        usleep((useconds_t)(i * 37 % 1500));
        kill(child, SIGUSR1);
        waitpid(child, &status, 0);
        failed += WIFEXITED(status) && WEXITSTATUS(status) == 9;
    }
    printf("%d failed\n", failed);
    mkfifo("pipe", 0700);
    execl("./pipe", "pipe", NULL);
    printf("a pipe is no program: %d\n", errno);
}

int main(void)
{
    take(SIGTRAP, SIGUSR1);
    take(SIGBUS, 0);
    take(SIGSEGV, SIGUSR1);
    take(SIGSYS, 0);
    take(SIGUSR1, 0);
    in_order();
    by_a_calls_mask();
    at_a_childs_end(SIGSEGV);
    at_a_childs_end(SIGSYS);
    with_a_faults_code();
    pending();
    flood();
    programs();
    return 0;
}
