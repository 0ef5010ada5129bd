#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* Signals that are faults as a rule, sent at any time: to one that handles them, and to one that is just beginning. */
static const int numbers[] = {SIGSEGV, SIGBUS, SIGSYS, SIGTRAP, SIGUSR1};
enum { COUNT = 5 };
static struct { volatile int ready, done, wrong, held[COUNT]; } *shared;
static void holds(int n) { for (int i = 0; i < COUNT; i++) shared->held[i] += numbers[i] == n; }
static void handled(void)
{
    int status; pid_t child = fork();
    if (!child) {
        struct sigaction action; memset(&action, 0, sizeof action); action.sa_handler = holds;
        for (int i = 0; i < COUNT; i++) sigaction(numbers[i], &action, NULL);
        shared->ready = 1;
        /* The last one is told of by a fault where the program is not: in the kernel, or what stands for it. */
        while (!shared->done) {
            getppid(); access("nothing", F_OK); signal(SIGUSR2, SIG_IGN);
            shared->wrong += syscall(SYS_rt_sigaction, SIGUSR2, (void *)16, NULL, 8) != -1 || errno != EFAULT;
        }
        _exit(7);
    }
    while (!shared->ready) usleep(100);
    for (int i = 0; i < 4000; i++) { kill(child, numbers[i % COUNT]); usleep(10 + i % 37); }
    shared->done = 1; waitpid(child, &status, 0); printf("ended %x, %d wrong, held", status, shared->wrong);
    for (int i = 0; i < COUNT; i++) printf(" %d", shared->held[i] > 0);
    printf("\n"); fflush(stdout);
}
/* Several at once, to one that stands still: each is answered. */
static void answered(int rounds)
{
    int lost = 0, before[COUNT];
    shared->ready = shared->done = 0;
    pid_t child = fork();
    if (!child) {
        struct sigaction action; memset(&action, 0, sizeof action); action.sa_handler = holds;
        for (int i = 0; i < COUNT; i++) sigaction(numbers[i], &action, NULL);
        shared->ready = 1;
        while (!shared->done) { getppid(); access("nothing", F_OK); }
        _exit(7);
    }
    while (!shared->ready) usleep(100);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < COUNT; i++) before[i] = shared->held[i];
        if (round % 2) kill(child, SIGSTOP);
        for (int i = 0; i < COUNT; i++) if (round % 3 != 1 || i == round % COUNT) kill(child, numbers[i]);
        if (round % 2) kill(child, SIGCONT);
        for (int i = 0; i < COUNT; i++) {
            if (round % 3 == 1 && i != round % COUNT) continue;
            int patience = 40000;
            while (shared->held[i] == before[i] && patience--) usleep(50);
            lost += shared->held[i] == before[i];
        }
    }
    shared->done = 1; waitpid(child, NULL, 0); printf("%d lost\n", lost);
}
static void beginning(int rounds)
{
    int status, wrong = 0;
    for (int i = 0; i < rounds; i++) {
        int number = numbers[i % COUNT]; pid_t child = fork();
        if (!child) { execl("/bin/sleep", "sleep", "30", NULL); _exit(9); }
        usleep(i * 7919 % 6000); kill(child, number); waitpid(child, &status, 0); wrong += WTERMSIG(status) != number;
    }
    printf("%d ended otherwise\n", wrong);
}
int main(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    handled(); fflush(stdout); answered(600); fflush(stdout); beginning(200);
    return 0;
}
