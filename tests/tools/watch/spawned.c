/* spawned.c: a program for `segue watch` whose data the C library accesses while it blocks all signals: the attributes
 * and actions of posix_spawn, in parent and child. And what it sees of its own mask: SIGSEGV blocked, pending once it
 * is sent, inherited by a thread, and let through by sigsuspend. */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static posix_spawnattr_t attributes;
static posix_spawn_file_actions_t actions;
static char *words[] = {"echo", "spawned", NULL};
static volatile int taken;

extern char **environ;

static void take(int number)
{
    taken = number;
}

static int is_blocked(int number)
{
    sigset_t mask;
    return pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, number);
}

static void *look(void *unused)
{
    printf("thread: blocked %d\n", is_blocked(SIGSEGV));
    return unused;
}

static int spawn(void)
{
    pid_t child;
    int status = -1;
    int error = posix_spawnp(&child, words[0], &actions, &attributes, words, environ);
    if (error == 0)
        waitpid(child, &status, 0);
    return error ? error : status;
}

static void block_and_wait(void)
{
    sigset_t one, none, pending;
    pthread_t thread;
    sigemptyset(&none);
    sigemptyset(&one);
    sigaddset(&one, SIGSEGV);
    signal(SIGSEGV, take);
    sigprocmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGSEGV);
    if (pthread_create(&thread, NULL, look, NULL) == 0)
        pthread_join(thread, NULL);
    sigpending(&pending);
    printf("blocked %d, pending %d, taken %d\n", is_blocked(SIGSEGV), sigismember(&pending, SIGSEGV), taken);
    sigsuspend(&none);
    sigpending(&pending);
    printf("blocked %d, pending %d, taken %d\n", is_blocked(SIGSEGV), sigismember(&pending, SIGSEGV), taken);
}

int main(void)
{
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, 77);
    for (int i = 0; i < 3; i++)
        printf("status %d\n", spawn());
    setvbuf(stdout, NULL, _IONBF, 0);
    block_and_wait();
    return 0;
}
