/* syscalls_masks.c: signal masks and actions that the program gives to the kernel, in plain memory and in a region. A
 * call that waits with a mask of its own is interrupted by a handler, which makes a call under that mask. */
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/linux/calls/table/newer.h"
#include "syscalls_fixture.h"

#define RING_GET_EVENTS 1
#define RING_EXTENDED 8
/* In struct io_uring_params, and the flag there. */
#define RING_FEATURES 5
#define RING_HAS_EXTENDED 256u

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    syscall(SYS_getppid);
    alarms++;
}

/* The signal comes as soon as a call opens it. */
static void make_alarm_wait(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_int_equal(raise(SIGALRM), 0);
}

static void put_back(void)
{
    sigset_t open;
    sigemptyset(&open);
    sigaddset(&open, SIGALRM);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &open, NULL), 0);
    signal(SIGALRM, SIG_DFL);
}

static void check_event(unsigned at, uint8_t direction)
{
    assert_true(at < notes.events);
    assert_int_equal(notes.event[at].system_call, SYS_rt_sigprocmask);
    assert_int_equal(notes.event[at].direction, direction);
    assert_int_equal(notes.event[at].size, 8);
}

/* A mask that the kernel takes must not block SIGSYS: the next call would be the last. */
static void masks_in_the_region(void **state)
{
    (void)state;
    uint64_t all = UINT64_MAX, none = 0, before;
    struct sigaction action = {.sa_handler = on_alarm};
    struct epoll_event *events = (void *)(CLOSED + 64);
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    closed_write(0, &all, sizeof all);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, CLOSED, CLOSED + 8, 8), 0);
    assert_int_equal(notes.events, 2);
    check_event(0, SEGUE_READ);
    check_event(1, SEGUE_WRITE);
    closed_read(&before, 8, sizeof before);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, &none, 8), 0);
    assert_true(none >> (SIGUSR1 - 1) & 1);
    /* Refused, with a mask outside and the old one in the region; nothing has changed. */
    notes.verdict = SEGUE_PASS;
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, CLOSED, NULL, 8), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, CLOSED, 8), -1);
    assert_int_equal(errno, EFAULT);
    notes.verdict = SEGUE_STEP;
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &none, 8), 0);
    assert_int_equal(none, before);
    /* A handler runs with the call's mask. */
    all = ~(UINT64_C(1) << (SIGALRM - 1));
    closed_write(0, &all, sizeof all);
    make_alarm_wait();
    assert_int_equal(syscall(SYS_rt_sigsuspend, CLOSED, 8), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(alarms, 1);
    int epoll = epoll_create1(0);
    make_alarm_wait();
    assert_int_equal(syscall(SYS_epoll_pwait, epoll, events, 1, 2000, &all, sizeof all), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(alarms, 2);
    /* Refused: the kernel waits, with SIGSYS open in the mask. */
    notes.verdict = SEGUE_PASS;
    make_alarm_wait();
    assert_int_equal(syscall(SYS_epoll_pwait, epoll, events, 1, 2000, &all, sizeof all), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(alarms, 3);
    notes.verdict = SEGUE_STEP;
    close(epoll);
    /* An action. */
    memcpy(&action.sa_mask, &all, sizeof all);
    closed_write(0, (const uint64_t[]){(uint64_t)(uintptr_t)SIG_IGN, 0, 0, UINT64_MAX}, 32);
    notes.events = 0;
    assert_int_equal(syscall(SYS_rt_sigaction, SIGUSR2, CLOSED, CLOSED + 64, 8), 0);
    assert_int_equal(notes.events, 2);
    assert_int_equal(sigaction(SIGUSR2, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, SIG_IGN);
    signal(SIGUSR2, SIG_DFL);
    put_back();
    calls_teardown();
}

/* Everything but the alarm's signal is blocked while the call waits. The masks and what leads to them are at `at`. */
struct wait {
    uint64_t mask, pair[2], extended[3];
};

static void fill(struct wait *wait, const struct wait *at)
{
    const uint64_t mask = (uint64_t)(uintptr_t)&at->mask;
    *wait = (struct wait){~(UINT64_C(1) << (SIGALRM - 1)), {mask, 8}, {mask, 8, 0}};
}

static void check_wait(long result)
{
    assert_int_equal(result, -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(alarms, 1);
    alarms = 0;
    make_alarm_wait();
}

/* Of a call that the kernel may not have. */
static void check_newer(long result)
{
    if (result != -1 || errno != ENOSYS)
        check_wait(result);
}

static void wait_by_all(const struct wait *at)
{
    int epoll = epoll_create1(0);
    struct epoll_event event;
    alarms = 0;
    make_alarm_wait();
    check_wait(syscall(SYS_rt_sigsuspend, &at->mask, sizeof at->mask));
    check_wait(syscall(SYS_ppoll, NULL, 0, NULL, &at->mask, sizeof at->mask));
    check_wait(syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, at->pair));
    check_wait(syscall(SYS_epoll_pwait, epoll, &event, 1, -1, &at->mask, sizeof at->mask));
    check_newer(syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, &at->mask, sizeof at->mask));
    close(epoll);
}

/* Made before calls are caught. 0, and -1, where the system has none. */
static unsigned long queue;
static int ring;
static bool ring_has_extended;

static void make_queues(void)
{
    static uint32_t parameters[30];
    if (syscall(SYS_io_setup, 1, &queue) != 0)
        queue = 0;
    ring = (int)syscall(SYS_io_uring_setup, 4, parameters);
    ring_has_extended = parameters[RING_FEATURES] & RING_HAS_EXTENDED;
}

static void wait_by_queues(const struct wait *at, bool has_ring)
{
    char event[32];
    alarms = 0;
    make_alarm_wait();
    if (queue)
        check_newer(syscall(SYS_io_pgetevents, queue, 1L, 1L, event, NULL, at->pair));
    if (!has_ring)
        return;
    check_wait(syscall(SYS_io_uring_enter, ring, 0, 1, RING_GET_EVENTS, &at->mask, sizeof at->mask));
    if (ring_has_extended)
        check_wait(syscall(SYS_io_uring_enter, ring, 0, 1, RING_GET_EVENTS | RING_EXTENDED, at->extended,
                           sizeof at->extended));
}

static void calls_wait_with_masks(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_alarm};
    struct wait wait;
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    fill(&wait, &wait);
    wait_by_all(&wait);
    wait_by_queues(&wait, ring >= 0);
    const struct wait *closed = (const struct wait *)(const void *)(CLOSED + 128);
    fill(&wait, closed);
    closed_write(128, &wait, sizeof wait);
    wait_by_all(closed);
    /* A ring's mask is not followed into a region. */
    wait_by_queues(closed, false);
    put_back();
    calls_teardown();
}

/* The thread may access the memory; a handler may not, by the rights that it begins with. */
static void masks_behind_a_protection_key(void **state)
{
    (void)state;
    const int key = pkey_alloc(0, 0);
    if (key < 0)
        skip_if("the system has no protection keys");
    sigset_t *sets = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction *actions = (struct sigaction *)(sets + 2);
    assert_ptr_not_equal(sets, MAP_FAILED);
    assert_int_equal(pkey_mprotect(sets, PAGE, PROT_READ | PROT_WRITE, key), 0);
    calls_setup(SEGUE_WINDOW_ALIAS);
    sigemptyset(&sets[0]);
    sigaddset(&sets[0], SIGUSR1);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &sets[0], NULL, 8), 0);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &sets[0], &sets[1], 8), 0);
    assert_int_equal(sigismember(&sets[1], SIGUSR1), 1);
    assert_int_equal(syscall(SYS_rt_sigaction, SIGSYS, NULL, actions, 8), 0);
    sigfillset(&sets[0]);
    assert_int_equal(syscall(SYS_ppoll, NULL, 0, &(struct timespec){0}, &sets[0], 8), 0);
    assert_int_equal(pkey_set(key, PKEY_DISABLE_ACCESS), 0);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &sets[0], NULL, 8), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(pkey_set(key, 0), 0);
    calls_teardown();
    munmap(sets, PAGE);
    pkey_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_in_the_region),
        cmocka_unit_test(calls_wait_with_masks),
        cmocka_unit_test(masks_behind_a_protection_key),
    };
    make_queues();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
