/* callers.c: a variable that two functions of a chain change, with frame pointers or without; and by a system call. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long shared;

__attribute__((noinline)) static void leaf(long by)
{
    shared += by;
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static int middle(int depth)
{
    /* Room that a frame's size cannot show: only the tables say where the caller is. */
    char room[depth * 16 + 16];
    memset(room, depth, sizeof room);
    __asm__ volatile("" ::"r"(room) : "memory");
    if (depth > 0)
        return middle(depth - 1) + room[0];
    leaf(room[0] + 1);
    return room[1];
}

__attribute__((noinline)) static int outer(int depth)
{
    return middle(depth) + 1;
}

__attribute__((noinline)) static void by_a_call(int file)
{
    if (read(file, &shared, sizeof shared) != sizeof shared)
        abort();
    __asm__ volatile("" ::: "memory");
}

static void on_signal(int number)
{
    leaf(number);
}

static void *work(void *depth)
{
    return (void *)(long)outer(*(int *)depth);
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? atoi(argv[1]) : 2, ends[2];
    long value = 77;
    pthread_t thread;
    if (pipe(ends) != 0 || write(ends[1], &value, sizeof value) != sizeof value)
        return 1;
    pthread_create(&thread, NULL, work, &depth);
    pthread_join(thread, NULL);
    by_a_call(ends[0]);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    /* So many tenths of a second. */
    for (int i = 0; argc > 2 && i < atoi(argv[2]); i++) {
        leaf(0);
        usleep(100000);
    }
    printf("%ld\n", shared);
    return 5;
}
