/* facts.c: a program that is linked statically prints what it finds: the same under `segue watch` as natively. Its
 * threads have thread-local memory, aligned and initialised, and stacks of the least size; one has little stack
 * left, and nothing mapped behind it; some fork. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 50
#define LEFT_TO_WORK 4000
#define LEFT_TO_CALL 2000
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

long counter;
static long wrong;
static char *given_stack;
static _Thread_local long initialised = 42;
static _Thread_local long *relocated = &counter;
static _Thread_local _Alignas(128) char aligned[300];

extern char **environ;

static void fail_unless(int is_right)
{
    if (!is_right)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static void look_at_own_memory(void)
{
    fail_unless(initialised == 42 && relocated == &counter);
    fail_unless((uintptr_t)aligned % 128 == 0);
    for (size_t i = 0; i < sizeof aligned; i++)
        fail_unless(aligned[i] == 0);
    initialised = 7;
    memset(aligned, 1, sizeof aligned);
}

static void add_to_counter(void)
{
    for (int i = 0; i < ROUNDS; i++)
        __atomic_fetch_add(relocated, 1, __ATOMIC_RELAXED);
}

static void *work(void *number)
{
    look_at_own_memory();
    add_to_counter();
    fail_unless(initialised == 7 && aligned[299] == 1);
    return number;
}

/* Calls it with that much of the stack left. */
static __attribute__((noinline)) void use_stack(size_t left, void (*call)(void))
{
    volatile char *used = __builtin_alloca((size_t)((char *)__builtin_frame_address(0) - given_stack) - left);
    used[0] = 1;
    call();
    fail_unless(used[0] == 1);
}

/* The call changes nothing; under a watch that takes more than the stack has. */
static void protect_counter(void)
{
    const uintptr_t page = (uintptr_t)&counter & -(uintptr_t)4096;
    fail_unless(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) == 0 || errno == ENOMEM);
}

static void *work_with_little(void *number)
{
    const size_t frame = getauxval(AT_MINSIGSTKSZ);
    use_stack(LEFT_TO_CALL + frame, protect_counter);
    use_stack(LEFT_TO_WORK + 2 * frame, add_to_counter);
    look_at_own_memory();
    return number;
}

/* The child has a copy of the counter, and its parent does not see what it writes. */
static void *work_and_fork(void *number)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        __atomic_store_n(&counter, 1000000, __ATOMIC_RELAXED);
        _exit(__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED) == 1000001 ? 9 : 1);
    }
    fail_unless(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 9);
    return work(number);
}

/* What is before and behind it cannot be accessed. Returns its size. */
static size_t map_stack(void)
{
    const size_t size = (LEFT_TO_WORK + 2 * getauxval(AT_MINSIGSTKSZ) + PTHREAD_STACK_MIN) & -(size_t)4096;
    char *at = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    given_stack = at + size;
    fail_unless(at != MAP_FAILED && mprotect(given_stack, size, PROT_READ | PROT_WRITE) == 0);
    return size;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t given, least;
    const size_t size = map_stack();
    pthread_attr_init(&given);
    pthread_attr_init(&least);
    fail_unless(pthread_attr_setstack(&given, given_stack, size) == 0);
    fail_unless(pthread_attr_setstacksize(&least, PTHREAD_STACK_MIN) == 0);
    for (long i = 0; i < THREADS; i++) {
        const pthread_attr_t *attributes[THREADS] = {&given, &least};
        void *(*const makes)(void *) = i == 0 ? work_with_little : i > 5 ? work_and_fork : work;
        fail_unless(pthread_create(&threads[i], attributes[i], makes, (void *)i) == 0);
    }
    for (long i = 0; i < THREADS; i++) {
        void *number;
        fail_unless(pthread_join(threads[i], &number) == 0 && number == (void *)i);
    }
}

static int count_parts(struct dl_phdr_info *module, size_t size, void *count)
{
    (void)size;
    *(int *)count += module->dlpi_phnum;
    return 0;
}

static volatile int handled;
static void handle(int number)
{
    (void)number;
    handled++;
    counter++;
}

/* The actions for two signals are the library's. */
static void print_signals(void)
{
    stack_t stack;
    sigset_t blocked;
    struct sigaction action;
    sigaltstack(NULL, &stack);
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    printf("alternate stack %d\n", stack.ss_flags);
    for (int i = 1; i < 65; i++)
        if (sigismember(&blocked, i) == 1 ||
            (i != SIGTRAP && i != SIGXCPU && sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL))
            printf("signal %d\n", i);
    signal(SIGUSR1, handle);
    signal(SIGSEGV, handle);
    for (int i = 0; i < 20; i++)
        raise(i % 2 ? SIGUSR1 : SIGSEGV);
    printf("handled %d, counter %ld\n", handled, counter);
}

static void print_process(int count, char **arguments)
{
    char path[4096] = "", name[16];
    int parts = 0, held = 0;
    while (environ[held])
        held++;
    dl_iterate_phdr(count_parts, &parts);
    fail_unless(readlink("/proc/self/exe", path, sizeof path - 1) > 0 && prctl(PR_GET_NAME, name) == 0);
    printf("%d arguments, the last %s; %d of environment, HOME %s\n", count, arguments[count - 1], held,
           getenv("HOME"));
    printf("%s executed as %s, called %s, loader at %lx, %d parts\n", path, (char *)getauxval(AT_EXECFN), name,
           getauxval(AT_BASE), parts);
}

int main(int count, char **arguments)
{
    print_process(count, arguments);
    look_at_own_memory();
    char *end = sbrk(0);
    fail_unless(sbrk(8192) == end && sbrk(0) == end + 8192);
    for (size_t i = 0; i < 20; i++) {
        void *block = malloc(100000 * i + 1);
        fail_unless(block != NULL);
        free(block);
    }
    run_threads();
    printf("counter %ld\n", counter);
    print_signals();
    printf("wrong %ld\n", wrong);
    return 5;
}
