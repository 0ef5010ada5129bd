/* server.c: a threaded server for `segue watch --pid`: it answers each line on its socket by a sum, 0 by the counter,
 * while other threads compute, wait and call. It says when it is ready, and ends when its parent does. `server
 * SOCKET [HOW]`: `filtered` and `ignoring` cannot be attached to; in `blocked` all threads block all signals, in
 * `mixed` some do, as jemalloc's in redis-server, or block SIGXCPU or SIGSEGV alone; in `waiting` one waits with a mask
 * of its own. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4

long counter;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static char page[4096];
/* Threads that have the masks with which they go on. */
static int begun;

static void begin(void)
{
    __atomic_fetch_add(&begun, 1, __ATOMIC_RELEASE);
}

static void *add(void *unused)
{
    static const struct timespec moment = {.tv_nsec = 200000};
    begin();
    for (;;) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        free(malloc(1000));
        nanosleep(&moment, NULL);
    }
    return unused;
}

static void *compute(void *unused)
{
    begin();
    for (volatile unsigned sum = 0;; sum++)
        ;
    return unused;
}

static void *wait_forever(void *unused)
{
    begin();
    pthread_mutex_lock(&lock);
    for (;;)
        pthread_cond_wait(&asked, &lock);
    return unused;
}

/* Through memory beside the counter: the kernel reads and writes there. */
static void answer(int client)
{
    static char line[64];
    for (ssize_t size; (size = read(client, line, sizeof line - 1)) > 0;) {
        line[size] = 0;
        long number = strtol(line, NULL, 10), sum = 0;
        for (long i = 1; i <= number; i++)
            sum += i;
        int length = snprintf(page, sizeof page, "%ld\n", number ? sum : __atomic_load_n(&counter, __ATOMIC_RELAXED));
        if (write(client, page, (size_t)length) < 0)
            break;
    }
    close(client);
}

static void block(int number)
{
    sigset_t signals;
    sigemptyset(&signals);
    if (number)
        sigaddset(&signals, number);
    else
        sigfillset(&signals);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

/* All are blocked while it waits, and none else. */
static void *wait_with_mask(void *unused)
{
    sigset_t signals;
    sigfillset(&signals);
    begin();
    for (;;)
        sigsuspend(&signals);
    return unused;
}

static void *block_and_add(void *unused)
{
    block(0);
    return add(unused);
}

static void *block_one_and_add(void *unused)
{
    block(SIGSEGV);
    return add(unused);
}

static void *block_and_compute(void *unused)
{
    block(SIGXCPU);
    return compute(unused);
}

static void *block_and_wait(void *unused)
{
    block(0);
    return wait_forever(unused);
}

static void *(*const alike[WORKERS])(void *) = {compute, wait_forever, add, add};
static void *(*const mixed[WORKERS])(void *) = {block_and_compute, block_and_wait, block_and_add, block_one_and_add};
static void *(*const waits[WORKERS])(void *) = {compute, wait_forever, add, wait_with_mask};

static void spoil(const char *how)
{
    struct sock_filter all = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &all};
    if (strcmp(how, "blocked") == 0)
        block(0);
    else if (strcmp(how, "ignoring") == 0)
        signal(SIGSEGV, SIG_IGN);
    else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        exit(3);
}

int main(int argc, char **argv)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    pthread_t thread;
    if (argc < 2)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(name.sun_path, sizeof name.sun_path, "%s", argv[1]);
    void *(*const *work)(void *) = alike;
    if (argc > 2 && strcmp(argv[2], "mixed") == 0)
        work = mixed;
    else if (argc > 2 && strcmp(argv[2], "waiting") == 0)
        work = waits;
    else if (argc > 2)
        spoil(argv[2]);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(server, (void *)&name, sizeof name) != 0 || listen(server, 8) != 0)
        return 1;
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&thread, NULL, work[i], NULL);
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < WORKERS)
        usleep(1000);
    puts("ready");
    fflush(stdout);
    for (;;)
        answer(accept(server, NULL, NULL));
}
