/* clones.c: clone and clone3 with arguments that the kernel takes and refuses: what each call says, and what the child
 * ends with. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLEAR_SIGHAND 0x100000000ULL
#define INTO_CGROUP 0x200000000ULL
#define NEWTIME 0x80
#define DETACHED 0x400000

struct arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
    uint64_t more[2];
};

static int first, second;
static char stack[65536];

static void tell(const char *what, long result, int error)
{
    int status = -1;
    if (result == 0)
        _exit(7);
    if (result < 0) {
        printf("%s: %s\n", what, strerrorname_np(error));
    } else {
        pid_t waited = waitpid((pid_t)result, &status, __WALL);
        printf("%s: child, %s, %d\n", what, waited == result ? "waited for" : "not waited for", status);
    }
    printf("  words %s %s\n", first == result ? "number" : first ? "other" : "0",
           second == result ? "number" : second ? "other" : "0");
    first = second = 0;
    fflush(stdout);
}

static void by_clone(const char *what, unsigned long flags)
{
    long result = syscall(SYS_clone, flags, 0L, &first, &second, 0L);
    tell(what, result, errno);
}

static void by_clone3(const char *what, struct arguments wanted, size_t size)
{
    long result = syscall(SYS_clone3, &wanted, size);
    tell(what, result, errno);
}

#define FULL 88
#define BY_CLONE3(what, size, ...) by_clone3(what, (struct arguments){__VA_ARGS__}, size)

int main(void)
{
    signal(64, SIG_IGN);
    uint64_t word = (uint64_t)(uintptr_t)&first, other = (uint64_t)(uintptr_t)&second;
    by_clone("plain", SIGCHLD);
    by_clone("no signal", 0);
    by_clone("signal 64", 64);
    by_clone("signal 65", 65);
    by_clone("signal 255", 255);
    by_clone("detached", DETACHED | SIGCHLD);
    by_clone("detached, descriptor", DETACHED | CLONE_PIDFD | SIGCHLD);
    by_clone("descriptor", CLONE_PIDFD | SIGCHLD);
    by_clone("descriptor and number", CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD);
    by_clone("number", CLONE_PARENT_SETTID | SIGCHLD);
    by_clone("actions without memory", CLONE_SIGHAND | SIGCHLD);
    by_clone("thread without actions", CLONE_THREAD | SIGCHLD);
    by_clone("namespace and files", CLONE_NEWNS | CLONE_FS | SIGCHLD);

    BY_CLONE3("3 plain", FULL, .exit_signal = SIGCHLD);
    BY_CLONE3("3 first size", 64, .exit_signal = SIGCHLD);
    BY_CLONE3("3 small", 63, .exit_signal = SIGCHLD);
    BY_CLONE3("3 large, zero", 104, .exit_signal = SIGCHLD);
    BY_CLONE3("3 large, not zero", 104, .exit_signal = SIGCHLD, .more = {0, 1});
    BY_CLONE3("3 too large", 5000, .exit_signal = SIGCHLD);
    BY_CLONE3("3 time", FULL, .flags = NEWTIME, .exit_signal = SIGCHLD);
    BY_CLONE3("3 low bit", FULL, .flags = 0x40, .exit_signal = SIGCHLD);
    BY_CLONE3("3 signal 64", FULL, .exit_signal = 64);
    BY_CLONE3("3 signal 65", FULL, .exit_signal = 65);
    BY_CLONE3("3 signal 255", FULL, .exit_signal = 255);
    BY_CLONE3("3 signal beyond", FULL, .exit_signal = 0x100000011);
    BY_CLONE3("3 detached", FULL, .flags = DETACHED, .exit_signal = SIGCHLD);
    BY_CLONE3("3 unknown", FULL, .flags = 1ULL << 40, .exit_signal = SIGCHLD);
    BY_CLONE3("3 parent's signal", FULL, .flags = CLONE_PARENT, .exit_signal = SIGCHLD);
    BY_CLONE3("3 thread's signal", FULL, .flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, .exit_signal = SIGCHLD);
    BY_CLONE3("3 actions shared and cleared", FULL, .flags = CLONE_VM | CLONE_SIGHAND | CLEAR_SIGHAND,
              .exit_signal = SIGCHLD);
    BY_CLONE3("3 actions cleared", FULL, .flags = CLEAR_SIGHAND, .exit_signal = SIGCHLD);
    BY_CLONE3("3 group, small", 80, .flags = INTO_CGROUP, .exit_signal = SIGCHLD);
    BY_CLONE3("3 group, large", FULL, .flags = INTO_CGROUP, .cgroup = 1ULL << 40, .exit_signal = SIGCHLD);
    BY_CLONE3("3 group, none", FULL, .flags = INTO_CGROUP, .cgroup = 999999, .exit_signal = SIGCHLD);
    BY_CLONE3("3 same words", FULL, .flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = word, .parent_tid = word,
              .exit_signal = SIGCHLD);
    BY_CLONE3("3 two words", FULL, .flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = other, .parent_tid = word,
              .exit_signal = SIGCHLD);
    BY_CLONE3("3 no stack", FULL, .stack_size = 1, .exit_signal = SIGCHLD);
    BY_CLONE3("3 no size", FULL, .stack = (uint64_t)(uintptr_t)stack, .exit_signal = SIGCHLD);
    BY_CLONE3("3 impossible stack", FULL, .stack = 1ULL << 63, .stack_size = 4096, .exit_signal = SIGCHLD);
    BY_CLONE3("3 stack beyond the end", FULL, .stack = 4096, .stack_size = 1ULL << 47, .exit_signal = SIGCHLD);
    BY_CLONE3("3 number without array", FULL, .set_tid_size = 1, .exit_signal = SIGCHLD);
    BY_CLONE3("3 array without number", FULL, .set_tid = word, .exit_signal = SIGCHLD);
    BY_CLONE3("3 many numbers", FULL, .set_tid = word, .set_tid_size = 33, .exit_signal = SIGCHLD);
    BY_CLONE3("3 array nowhere", FULL, .set_tid = 8, .set_tid_size = 1, .exit_signal = SIGCHLD);
    return 0;
}
