/* stacks.c: handlers with SA_ONSTACK, and what sigaltstack answers in them: with a stack of the program's own, large or
 * small, or with none. Each touches `watched`. What it prints does not depend on who watches it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE ((size_t)4 << 20)
#define SMALL ((size_t)64 << 10)

long watched;
static stack_t stack;
static size_t used;

static void need(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    exit(1);
}

/* Uses the bytes. */
__attribute__((noinline)) static int fill(size_t size)
{
    volatile char *bytes = __builtin_alloca(size);
    for (size_t i = 0; i < size; i += 4096)
        bytes[i] = 1;
    return bytes[0];
}

static void handle(int number)
{
    stack_t present;
    const uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    (void)number;
    need(sigaltstack(NULL, &present) == 0, "sigaltstack");
    watched += fill(used);
    printf("%zu bytes used, flags %d, size %zu, the program's %d", used, present.ss_flags, present.ss_size,
           present.ss_sp == stack.ss_sp);
    if (stack.ss_size == LARGE)
        printf(", on it %d", here - (uint64_t)(uintptr_t)stack.ss_sp < stack.ss_size);
    const int refused = sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    printf(", changed %d\n", refused);
    need(refused != 0 || sigaltstack(&present, NULL) == 0, "sigaltstack");
}

static void set(size_t size)
{
    stack_t before;
    stack = (stack_t){.ss_flags = SS_DISABLE};
    if (size) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        need(memory != MAP_FAILED, "mmap");
        stack = (stack_t){.ss_sp = memory, .ss_size = size};
    }
    need(sigaltstack(&stack, &before) == 0, "sigaltstack");
    printf("before %d %zu\n", before.ss_flags, before.ss_size);
}

static void try_all(void)
{
    static const struct {
        size_t size, used;
    } tries[] = {{0, 500 << 10}, {LARGE, 3 << 20}, {SMALL, 40 << 10}, {0, 1 << 20}, {LARGE, 3 << 20}, {0, 500 << 10}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        set(tries[i].size);
        used = tries[i].used;
        need(raise(SIGUSR1) == 0, "raise");
        watched++;
    }
}

static void *in_thread(void *unused)
{
    try_all();
    return unused;
}

int main(void)
{
    pthread_t thread;
    const struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    try_all();
    need(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
    printf("%ld\n", watched);
    return 0;
}
