/* segments.c: what asks about GS, or loads what is there already. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static __thread int own = 3;
static void *other(void *unused)
{
    unsigned long base = 1;
    (void)unused;
    own += 2;
    printf("%ld %lx\n", syscall(SYS_arch_prctl, 0x1004, &base), base);
    return 0;
}
int main(void)
{
    unsigned long base = 1;
    pthread_t thread;
    printf("%ld %lx\n", syscall(SYS_arch_prctl, 0x1004, &base), base);
    printf("%ld\n", syscall(SYS_arch_prctl, 0x1001, 0));
    printf("%ld %d\n", syscall(SYS_arch_prctl, 0x1004, 8), errno);
    printf("%ld %d\n", syscall(SYS_arch_prctl, 0x1001, 1ul << 62), errno);
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
    own++;
    printf("%d\n", own);
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
    syscall(SYS_arch_prctl, 0x1003, &base);
    printf("%d\n", base == (unsigned long)pthread_self());
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
    pthread_create(&thread, 0, other, 0);
    pthread_join(thread, 0);
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
    fflush(stdout);
    if (fork() == 0) {
        printf("%d\n", own);
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 0;
}
