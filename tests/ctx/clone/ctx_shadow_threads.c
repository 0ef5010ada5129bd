/* ctx_shadow_threads.c: the cases of ctx_shadow that are about the C library's threads, and about signals. */
#include "ctx_shadow.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

static volatile int noted;

/* ---- threads by the C library ---- */

static void *answer(void *argument)
{
    return argument;
}

static void threads_are_joined_and_detached(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    void *result;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (intptr_t i = 1; i < 50; i++) {
        CHECK(pthread_create(&thread, NULL, answer, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == (void *)i);
        CHECK(pthread_create(&thread, &attributes, answer, NULL) == 0);
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static __thread long own;

static void *add(void *count)
{
    for (intptr_t i = 0; i < (intptr_t)count; i++) {
        own++;
        errno = (int)own;
        if (i % 2 == 0) {
            pthread_mutex_lock(&mutex);
        } else {
            while (pthread_mutex_trylock(&mutex) != 0)
                sched_yield();
        }
        sum++;
        pthread_mutex_unlock(&mutex);
        CHECK(errno == (int)own);
    }
    return (void *)own;
}

static void threads_lock_and_have_their_storage(void)
{
    pthread_t threads[6];
    void *result;
    sum = 0;
    for (int i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, add, (void *)500) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], &result) == 0 && result == (void *)500);
    CHECK(sum == 3000 && own == 0);
}

static void note_cleanup(void *unused)
{
    (void)unused;
    noted++;
}

static void *wait_for_cancellation(void *unused)
{
    (void)unused;
    pthread_cleanup_push(note_cleanup, NULL);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static void *exit_thread(void *result)
{
    pthread_exit(result);
}

static void threads_are_cancelled_and_exit(void)
{
    pthread_t thread;
    void *result;
    noted = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_cancellation, NULL) == 0);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    CHECK(noted <= 1);
    CHECK(pthread_create(&thread, NULL, exit_thread, (void *)5) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == (void *)5);
}

static void *make_threads(void *unused)
{
    pthread_t thread;
    void *result;
    (void)unused;
    for (intptr_t i = 1; i <= 60; i++) {
        CHECK(pthread_create(&thread, NULL, answer, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == (void *)i);
    }
    return NULL;
}

static void threads_in_a_storm_of_signals(void)
{
    struct sigaction action = {.sa_handler = receive, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    pthread_t threads[4];
    sigaction(SIGUSR2, &action, NULL);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, make_threads, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    timer_delete(timer);
}

static void *exit_process(void *unused)
{
    (void)unused;
    usleep(10000);
    _exit(13);
}

static void *run_for_ever(void *unused)
{
    while (!unused)
        sched_yield();
    return NULL;
}

static void leader_exits_and_process_ends_with_threads(void)
{
    for (int leader_exits = 0; leader_exits < 2; leader_exits++) {
        pid_t process = fork();
        if (process == 0) {
            pthread_t thread;
            for (int i = 0; i < 3; i++)
                CHECK(pthread_create(&thread, NULL, i == 2 && leader_exits ? exit_process : run_for_ever, NULL) == 0);
            if (leader_exits)
                pthread_exit(NULL);
            _exit(13);
        }
        CHECK(status_of(process) == 13 << 8);
    }
}

/* ---- signals ---- */

static void step_over(int number, siginfo_t *info, void *ucontext)
{
    (void)info;
    received = number;
    /* An access, or an instruction, of two bytes. */
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void *fault_and_go_on(void *unused)
{
    (void)unused;
    received = 0;
    __asm__ volatile("movb (%0), %%al" : : "r"((uint64_t)8) : "rax", "memory");
    CHECK(received == SIGSEGV);
    __asm__ volatile("ud2");
    CHECK(received == SIGILL);
    raise(SIGUSR1);
    CHECK(received == SIGUSR1);
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
    CHECK(received == SIGUSR2);
    return NULL;
}

static void handle_faults(void)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    signal(SIGUSR1, receive);
    signal(SIGUSR2, receive);
}

static void threads_and_forks_handle_their_faults(void)
{
    pthread_t thread;
    handle_faults();
    CHECK(pthread_create(&thread, NULL, fault_and_go_on, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pid_t process = fork();
    if (process == 0) {
        fault_and_go_on(NULL);
        _exit(0);
    }
    CHECK(status_of(process) == 0);
}

static ucontext_t place;
static volatile int returned;

static void leave_by_context(int number)
{
    received = number;
    setcontext(&place);
}

static void *fault_and_leave(void *unused)
{
    (void)unused;
    returned = 0;
    getcontext(&place);
    if (returned++ < 3)
        __asm__ volatile("ud2");
    CHECK(returned == 4);
    return NULL;
}

static void threads_and_forks_leave_their_faults(void)
{
    pthread_t thread;
    signal(SIGILL, leave_by_context);
    CHECK(pthread_create(&thread, NULL, fault_and_leave, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pid_t process = fork();
    if (process == 0) {
        fault_and_leave(NULL);
        _exit(0);
    }
    CHECK(status_of(process) == 0);
}

static void calls_are_restarted_in_a_fork(void)
{
    struct sigaction action = {.sa_handler = receive, .sa_flags = SA_RESTART};
    int ends[2], ready[2];
    char byte = 0;
    CHECK(pipe(ends) == 0 && pipe(ready) == 0);
    pid_t process = fork();
    if (process == 0) {
        sigaction(SIGUSR1, &action, NULL);
        CHECK(write(ends[1], "r", 1) == 1 && write(ready[1], "r", 1) == 1);
        usleep(1000);
        while (read(ends[0], &byte, 1) == 1 && byte != 'x')
            ;
        _exit(byte == 'x' && received == SIGUSR1 ? 5 : 1);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    usleep(30000);
    kill(process, SIGUSR1);
    usleep(30000);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(status_of(process) == 5 << 8);
}

const struct shadow_case thread_cases[] = {
    CASE(threads_are_joined_and_detached),
    CASE(threads_lock_and_have_their_storage),
    CASE(threads_are_cancelled_and_exit),
    CASE(threads_in_a_storm_of_signals),
    CASE(leader_exits_and_process_ends_with_threads),
    CASE(threads_and_forks_handle_their_faults),
    CASE(threads_and_forks_leave_their_faults),
    CASE(calls_are_restarted_in_a_fork),
    {0},
};
