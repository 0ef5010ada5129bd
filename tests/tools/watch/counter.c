/* counter.c: what tests/tools/watch watches: eight threads add to a counter, and one of them has a defect. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 100

struct totals {
    int requests;
    struct {
        long bytes;
        double load;
    } lines[2];
    unsigned is_open : 1;
};
struct totals totals;
long counter;
static int neighbours[4];
struct totals *all = &totals;
int grid[3][2];
_Thread_local int per_thread;

__attribute__((noinline)) static void reset(void)
{
    __atomic_store_n(&counter, -1, __ATOMIC_RELAXED);
}

static void *work(void *number)
{
    for (int i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&neighbours[1], 1, __ATOMIC_RELAXED);
        per_thread++;
    }
    return number;
}

/* More accesses than the queue holds, by a thread whose name is not UTF-8. */
static int count_on(void)
{
    prctl(PR_SET_NAME, "caf\xe9\033[7m");
    for (int i = 0; i < 40000; i++)
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
    printf("%ld\n", counter);
    return 3;
}

/* Children that are killed anywhere, also between the two halves of a report. */
static int kill_children(void)
{
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        usleep((useconds_t)(300 + i));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    puts("killed");
    return 3;
}

/* A child that goes on until there is nothing more to read. */
static int leave_child(void)
{
    char byte;
    if (fork() == 0)
        while (read(STDIN_FILENO, &byte, 1) > 0)
            counter++;
    counter++;
    return 3;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    (void)argv;
    if (argc > 7)
        return leave_child();
    if (argc > 6)
        return kill_children();
    if (argc > 5)
        return (int)sleep(60);
    if (argc > 4)
        return count_on();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (argc > 1)
        reset();
    totals.requests = 1;
    totals.lines[1].load += 0.5;
    all->lines[0].bytes = 7;
    grid[0][1] = grid[2][0] = 3;
    grid[1][1] = 4;
    printf("%ld %d %d\n", counter, neighbours[1], per_thread);
    if (argc > 3)
        puts(getenv("LD_PRELOAD") || getenv("SEGUE_WATCH_DESCRIPTOR") ? "with" : "without");
    fflush(stdout);
    if (argc > 2 && fork() == 0) {
        counter = 50;
        _exit(0);
    }
    /* What a child does later is not reported. */
    wait(NULL);
    return 3;
}
