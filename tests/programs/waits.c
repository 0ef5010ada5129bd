#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static volatile int count;
static sigset_t inside;
static void counts(int n) { (void)n; count++; pthread_sigmask(SIG_BLOCK, NULL, &inside); }
static void set(int n, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(n, &action, NULL);
}
int main(void)
{
    sigset_t both, other, present; struct timespec five = {5, 0}, left; struct epoll_event event; siginfo_t info; int result, status;
    sigemptyset(&both); sigaddset(&both, SIGALRM); sigaddset(&both, SIGUSR1); other = both; sigdelset(&other, SIGALRM);
    set(SIGALRM, counts, SA_RESTART); set(SIGUSR1, counts, SA_RESTART); sigprocmask(SIG_BLOCK, &both, NULL);
    alarm(1); result = ppoll(NULL, 0, &five, &other);
    printf("ppoll %d %d count %d inside %d\n", result, errno == EINTR, count, sigismember(&inside, SIGUSR1));
    alarm(1); errno = 0; result = pselect(0, NULL, NULL, NULL, &five, &other); printf("pselect %d %d count %d\n", result, errno == EINTR, count);
    alarm(1); errno = 0; result = epoll_pwait(epoll_create1(0), &event, 1, 5000, &other); printf("epoll %d %d count %d\n", result, errno == EINTR, count);
    sigprocmask(SIG_BLOCK, NULL, &present); printf("mask %d %d\n", sigismember(&present, SIGALRM), sigismember(&present, SIGUSR1));
    raise(SIGUSR1); result = sigwaitinfo(&both, &info); printf("waited %d code %d\n", result == SIGUSR1, info.si_code);
    struct signalfd_siginfo read_info; int file = signalfd(-1, &both, 0); raise(SIGUSR1);
    result = (int)read(file, &read_info, sizeof read_info); printf("signalfd %d %d\n", result == (int)sizeof read_info, read_info.ssi_signo == SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &both, NULL);
    set(SIGALRM, counts, 0); alarm(1); result = nanosleep(&five, &left); printf("sleep %d %d\n", result, left.tv_sec >= 3);
    pid_t child = fork();
    if (!child) { sleep(2); _exit(3); }
    set(SIGALRM, counts, SA_RESTART); alarm(1); result = waitpid(child, &status, 0); printf("wait %d %d\n", result == child, WEXITSTATUS(status));
    set(SIGSEGV, SIG_IGN, 0); raise(SIGSEGV); printf("ignored\n"); fflush(stdout);
    sigemptyset(&both); sigaddset(&both, SIGSEGV); sigprocmask(SIG_BLOCK, &both, NULL);
    if (!fork()) { *(volatile int *)4 = 1; _exit(0); }
    wait(&status); printf("blocked, died of %d\n", WTERMSIG(status));
    return 0;
}
