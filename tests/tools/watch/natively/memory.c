/* memory.c: reads and writes its own variables by other names than their addresses: /proc/self/mem, and
 * process_vm_readv and process_vm_writev of itself. What it prints does not depend on who watches it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    long before[8];
    long after[8];
} beside = {{1, 2, 3}, {4, 5, 6}};
long watched = 7;
static long elsewhere[4096];

static void show(const char *what, long result)
{
    printf("%s: %ld, %ld, %ld %ld\n", what, result, watched, beside.before[1], beside.after[1]);
}

static void by_file(const char *path, int flags)
{
    const int file = open(path, flags);
    long value = 100 + watched, read = 0, words[2] = {value, value + 1};
    show("pwrite", pwrite(file, &value, sizeof value, (off_t)(uintptr_t)&watched));
    show("pread", pread(file, &read, sizeof read, (off_t)(uintptr_t)&watched));
    printf("%ld\n", read);
    show("pwrite of a neighbour", pwrite(file, words, sizeof words, (off_t)(uintptr_t)&beside.after[1]));
    show("pwrite nowhere", pwrite(file, &value, sizeof value, 4096));
    /* The buffer is watched. */
    show("pwrite from it", pwrite(file, &watched, sizeof watched, (off_t)(uintptr_t)&elsewhere[2048]));
    printf("%ld\n", elsewhere[2048]);
    close(file);
}

static void by_process(pid_t process)
{
    long from[2] = {watched + 1, watched + 2}, to[3] = {0};
    struct iovec local[2] = {{&from[0], 4}, {(char *)from + 4, 12}};
    struct iovec remote[2] = {{&watched, 8}, {&beside.after[1], 8}};
    show("process_vm_writev", process_vm_writev(process, local, 2, remote, 2, 0));
    local[0] = (struct iovec){to, 16};
    remote[1] = (struct iovec){(void *)4096, 8};
    show("process_vm_readv, up to a hole", process_vm_readv(process, local, 1, remote, 2, 0));
    printf("%ld %ld\n", to[0], to[1]);
    remote[0] = (struct iovec){&elsewhere[1], 8};
    local[0] = (struct iovec){&watched, 8};
    show("into it", process_vm_readv(process, local, 1, remote, 1, 0));
}

static void *in_thread(void *unused)
{
    by_file("/proc/thread-self/mem", O_RDWR);
    by_process((pid_t)syscall(SYS_gettid));
    return unused;
}

int main(void)
{
    pthread_t thread;
    elsewhere[1] = 55;
    by_file("/proc/self/mem", O_RDWR);
    by_process(getpid());
    errno = 0;
    show("of no process", process_vm_readv(-1, &(struct iovec){elsewhere, 8}, 1, &(struct iovec){&watched, 8}, 1, 0));
    printf("%d\n", errno);
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    printf("6\n");
    return 0;
}
