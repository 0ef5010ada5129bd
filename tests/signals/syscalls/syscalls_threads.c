/* syscalls_threads.c: system calls into a closed region from several threads, on small stacks, beside forks, with a
 * full queue of signals; and futexes. */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/calls/calls.h"
#include "signals/threads/knock.h"
#include "syscalls_fixture.h"
#include "tests/support/threads/in_call.h"

#define ROUNDS 2000
#define THREADS 4

static int failures;

static void fail_unless(bool fine)
{
    if (!fine)
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

/* Sends eight bytes through a pipe of its own, from the region into the region. */
static void *send_to_itself(void *number)
{
    size_t at = (size_t)(uintptr_t)number * 64;
    int ends[2];
    fail_unless(pipe(ends) == 0);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t value = i * 0x9e3779b97f4a7c15u + (uint64_t)(uintptr_t)number, found = 0;
        closed_write(at, &value, sizeof value);
        fail_unless(write(ends[1], CLOSED + at, 8) == 8 && read(ends[0], CLOSED + at + 8, 8) == 8);
        closed_read(&found, at + 8, sizeof found);
        fail_unless(found == value);
    }
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

static void start(pthread_t *threads, size_t stack)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], &attributes, send_to_itself, (void *)(uintptr_t)i), 0);
    pthread_attr_destroy(&attributes);
}

static void threads_with_small_stacks(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    calls_setup(SEGUE_WINDOW_ALIAS);
    failures = 0;
    start(threads, 16384);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    calls_teardown();
}

/* The call is made with a record on the thread's stack, where the trap's frame with the registers is, too. */
__attribute__((target("avx"), noinline)) static bool keeps_vectors(void *to)
{
    char before[32], after[32];
    long result;
    memset(before, 0x5a, sizeof before);
    __asm__ volatile("vmovdqu %2, %%ymm9\n\tsyscall\n\tvmovdqu %%ymm9, %1"
                     : "=a"(result), "=m"(after)
                     : "m"(before), "0"(SYS_gettimeofday), "D"(to), "S"(0L)
                     : "rcx", "r11", "xmm9", "memory");
    return result == 0 && memcmp(before, after, sizeof before) == 0;
}

/* At each alignment of the stack. */
static void *call_with_vectors(void *unused)
{
    for (size_t skew = 0; skew < 128; skew += 8) {
        char room[skew + 1];
        __asm__ volatile("" : : "r"(room) : "memory");
        fail_unless(keeps_vectors(CLOSED + 64));
        fail_unless(keeps_vectors(CLOSED - 8));
    }
    return unused;
}

static void vector_registers_are_kept(void **state)
{
    (void)state;
    pthread_t thread;
    if (!__builtin_cpu_supports("avx"))
        skip();
    for (unsigned i = 0; i < 2; i++) {
        calls_setup(i ? SEGUE_WINDOW_FORCED : SEGUE_WINDOW_ALIAS);
        failures = 0;
        assert_int_equal(pthread_create(&thread, NULL, call_with_vectors, NULL), 0);
        pthread_join(thread, NULL);
        assert_int_equal(failures, 0);
        calls_teardown();
    }
}

static void forks_in_the_middle(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    calls_setup(SEGUE_WINDOW_ALIAS);
    failures = 0;
    start(threads, 262144);
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            send_to_itself((void *)(uintptr_t)(THREADS + 1));
            _exit(failures ? 1 : 5);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 5);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    calls_teardown();
}

/* Until somebody was woken: the word stays what the waiter expects. */
static void *wake_later(void *unused)
{
    (void)unused;
    while (syscall(SYS_futex, CLOSED + 64, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0)
        usleep(1000);
    return NULL;
}

static void futexes_in_the_region(void **state)
{
    (void)state;
    pthread_t thread;
    struct timespec limit = {0, 20000000};
    calls_setup(SEGUE_WINDOW_ALIAS);
    closed_write(128, &limit, sizeof limit);
    assert_int_equal(syscall(SYS_futex, CLOSED + 64, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(syscall(SYS_futex, CLOSED + 64, FUTEX_WAIT_PRIVATE, 0, CLOSED + 128, NULL, 0), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, NULL), 0);
    long result = syscall(SYS_futex, CLOSED + 64, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    assert_true(result == 0);
    pthread_join(thread, NULL);
    calls_teardown();
}

static sigjmp_buf left;

static void leave(int number)
{
    (void)number;
    siglongjmp(left, 1);
}

static void *alarm_main(void *thread)
{
    while (!is_in_call(getpid(), SYS_read))
        usleep(100);
    pthread_kill(*(pthread_t *)thread, SIGUSR2);
    return NULL;
}

/* A handler leaves a call that waits: the region can be removed, and the next call is made. */
static void calls_that_are_left(void **state)
{
    (void)state;
    int ends[2];
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(pipe(ends), 0);
    struct sigaction action = {.sa_handler = leave};
    assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
    for (volatile int i = 0; i < 3; i++) {
        pthread_t thread, self = pthread_self();
        assert_int_equal(pthread_create(&thread, NULL, alarm_main, &self), 0);
        if (sigsetjmp(left, 1) == 0) {
            fail_unless(read(ends[0], CLOSED, 8) < 0);
            fail_msg("the read has returned");
        }
        pthread_join(thread, NULL);
    }
    assert_int_equal(write(ends[1], "12345678", 8), 8);
    assert_int_equal(read(ends[0], CLOSED, 8), 8);
    close(ends[0]);
    close(ends[1]);
    calls_teardown();
}

static unsigned count_mappings(void)
{
    char line[512];
    unsigned count = 0;
    FILE *from = fopen("/proc/self/maps", "re");
    assert_non_null(from);
    while (fgets(line, sizeof line, from))
        count++;
    fclose(from);
    return count;
}

/* The signal waits, and comes as soon as the call opens it. Returns how many calls were not left by that. */
static unsigned leave_calls(unsigned times)
{
    volatile unsigned returned = 0;
    sigset_t blocked, open;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    for (volatile unsigned i = 0; i < times; i++) {
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        raise(SIGUSR2);
        if (sigsetjmp(left, 1) == 0) {
            ppoll((struct pollfd *)(void *)CLOSED, 1, NULL, &open);
            returned++;
            sigprocmask(SIG_UNBLOCK, &blocked, NULL);
        }
    }
    return returned;
}

/* More often than calls can be noted at the same time; each with memory of its own, which is given back. */
static void many_calls_that_are_left(enum segue_window_kind kind)
{
    const struct pollfd none = {.fd = -1};
    calls_setup(kind);
    closed_write(0, &none, sizeof none);
    struct sigaction action = {.sa_handler = leave};
    assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
    assert_int_equal(leave_calls(10), 0);
    const unsigned before = count_mappings();
    assert_int_equal(leave_calls(1500), 0);
    assert_in_range(count_mappings(), before - 5, before + 5);
    calls_teardown();
}

static void many_calls_that_are_left_alias(void **state)
{
    (void)state;
    many_calls_that_are_left(SEGUE_WINDOW_ALIAS);
}

static void many_calls_that_are_left_forced(void **state)
{
    (void)state;
    many_calls_that_are_left(SEGUE_WINDOW_FORCED);
}

/* Signals that cannot be queued lose their siginfo; a trap is forced, and never lost. */
static void a_full_queue(void **state)
{
    (void)state;
    struct rlimit limit, none;
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    failures = 0;
    send_to_itself(NULL);
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &limit), 0);
    assert_int_equal(failures, 0);
    calls_teardown();
}

/* At the end of a page: there is no room for a detour, so each call traps. */
static long (*make_trap(void))(long number, ...)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89,
                                         0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(munmap(pages + PAGE, PAGE), 0);
    char *at = pages + PAGE - sizeof code;
    memcpy(at, code, sizeof code);
    assert_int_equal(mprotect(pages, PAGE, PROT_READ | PROT_EXEC), 0);
    return (long (*)(long, ...))(uintptr_t)at;
}

static volatile int caller;
static volatile unsigned made, knocks;

/* At least until it was knocked at once, which on a busy machine may take longer. */
static void *call_and_call(void *trap)
{
    long (*call)(long, ...) = (long (*)(long, ...))(uintptr_t)trap;
    int ends[2];
    fail_unless(pipe(ends) == 0);
    caller = (int)syscall(SYS_gettid);
    for (made = 0; made < 10 * ROUNDS || !knocks; made++)
        fail_unless(call(SYS_write, ends[1], CLOSED, 8) == 8 && call(SYS_read, ends[0], CLOSED + 8, 16) == 8);
    caller = 0;
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

/* The kernel drops the signal of a caught call while one of that number is pending, and the call is never made. */
static void knocks_while_calls_are_made(void **state)
{
    (void)state;
    pthread_t thread;
    calls_setup(SEGUE_WINDOW_ALIAS);
    if (calls_uses_sites()) {
        calls_teardown();
        print_message("SKIP: calls of code that is made later are not caught\n");
        skip();
    }
    failures = 0;
    knocks = 0;
    caller = -1;
    void *trap = (void *)(uintptr_t)make_trap();
    assert_int_equal(pthread_create(&thread, NULL, call_and_call, trap), 0);
    /* One a call: more than that would be nested in each other. */
    for (int number; (number = caller) != 0;) {
        const unsigned before = made;
        knocks += number > 0 && knock_send(number);
        while (made == before && caller == number)
            __builtin_ia32_pause();
    }
    pthread_join(thread, NULL);
    munmap((void *)((uintptr_t)trap & ~(uintptr_t)(PAGE - 1)), PAGE);
    assert_true(knocks > 0);
    assert_int_equal(failures, 0);
    calls_teardown();
}

static void refused_by_name(void **state)
{
    (void)state;
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(syscall(SYS_io_uring_setup, 4, &failures), -1);
    assert_int_equal(errno, ENOSYS);
    assert_int_equal(syscall(SYS_sendmmsg, -1, CLOSED, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    calls_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_with_small_stacks),
        cmocka_unit_test(vector_registers_are_kept),
        cmocka_unit_test(forks_in_the_middle),
        cmocka_unit_test(futexes_in_the_region),
        cmocka_unit_test(calls_that_are_left),
        cmocka_unit_test(many_calls_that_are_left_alias),
        cmocka_unit_test(many_calls_that_are_left_forced),
        cmocka_unit_test(a_full_queue),
        cmocka_unit_test(knocks_while_calls_are_made),
        cmocka_unit_test(refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
