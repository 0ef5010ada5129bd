/* thread.c: see platform/threads/thread.h.
 *
 * SOURCES: FreeBSD thr_self(2), thr_kill2(2), _umtx_op(2) (UMTX_OP_WAIT_UINT_PRIVATE; a time is relative),
 * sigprocmask(2), sigaltstack(2), pthread_attr_get_np(3); lib/libthr/thread/thr_sig.c (the C library's own signal is
 * never blocked). ASSUMPTION: these make a system call each, and neither allocate nor lock, except the last. */
#if !defined(__FreeBSD__)
#error "platform/freebsd/threads/thread.c is specific to FreeBSD"
#endif

#include "platform/threads/thread.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <pthread_np.h>
#include <signal.h>
#include <string.h>
#include <sys/thr.h>
#include <sys/types.h>
#include <sys/umtx.h>
#include <time.h>
#include <unistd.h>

#include "platform/frame/stack.h"
#include "platform/posix/mask.h"

#define SECOND UINT64_C(1000000000)

const void *platform_thread_self(void)
{
    return pthread_self();
}

int platform_thread_id(void)
{
    long number = 0;
    thr_self(&number);
    return (int)number;
}

int platform_process_id(void)
{
    return getpid();
}

/* Signal 0 is checked, and not sent. */
bool platform_thread_is_gone(int thread)
{
    int kept = errno;
    bool gone = thr_kill2(getpid(), thread, 0) != 0 && errno == ESRCH;
    errno = kept;
    return gone;
}

bool platform_thread_signal(int thread, int signal)
{
    int kept = errno;
    bool done = thr_kill2(getpid(), thread, signal) == 0;
    errno = kept;
    return done;
}

/* ---- blocked signals ---- */

/* A mask has 128 signals. Those above the 64 of the library's are real-time signals: they are blocked while the library
 * holds all, and else stay as they are. */
struct halves {
    uint64_t low, high;
};
_Static_assert(sizeof(struct halves) == sizeof(sigset_t), "sigset_t has 128 bits");

static __thread uint32_t holds;
static __thread uint64_t high_before;

static struct halves change(int how, const struct halves *wanted)
{
    sigset_t next, present;
    struct halves before = {0, 0};
    if (wanted)
        memcpy(&next, wanted, sizeof next);
    if (sigprocmask(how, wanted ? &next : NULL, &present) == 0)
        memcpy(&before, &present, sizeof before);
    return before;
}

uint64_t mask_change(int how, const uint64_t *bits)
{
    struct halves wanted = {bits ? *bits : 0, 0}, before;
    if (!bits || how != SIG_SETMASK)
        return change(how, bits ? &wanted : NULL).low;
    before = change(SIG_BLOCK, NULL);
    wanted.high = before.high;
    change(SIG_SETMASK, &wanted);
    return before.low;
}

uint64_t platform_signals_hold(void)
{
    const struct halves all = {UINT64_MAX, UINT64_MAX};
    struct halves before = change(SIG_SETMASK, &all);
    if (holds++ == 0)
        high_before = before.high;
    return before.low;
}

uint64_t platform_asynchronous_hold(void)
{
    const struct halves asynchronous = {~SIGNALS_SYNCHRONOUS, UINT64_MAX};
    struct halves before = change(SIG_BLOCK, &asynchronous);
    if (holds++ == 0)
        high_before = before.high;
    return before.low;
}

void platform_signals_release(uint64_t before)
{
    const struct halves wanted = {before, --holds ? UINT64_MAX : high_before};
    change(SIG_SETMASK, &wanted);
}

/* ---- waiting ---- */

static struct timespec to_timespec(uint64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / SECOND), .tv_nsec = (long)(nanoseconds % SECOND)};
}

void platform_sleep(uint64_t nanoseconds)
{
    struct timespec pause = to_timespec(nanoseconds);
    int kept = errno;
    nanosleep(&pause, NULL);
    errno = kept;
}

void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    struct timespec limit = to_timespec(nanoseconds);
    int kept = errno;
    _umtx_op((void *)(uintptr_t)word, UMTX_OP_WAIT_UINT_PRIVATE, value, NULL,
             nanoseconds == PLATFORM_FOREVER ? NULL : &limit);
    errno = kept;
}

void platform_wake(const uint32_t *word, int most)
{
    int kept = errno;
    _umtx_op((void *)(uintptr_t)word, UMTX_OP_WAKE_PRIVATE, (unsigned long)most, NULL, NULL);
    errno = kept;
}

/* ---- stacks ---- */

long platform_stack_exchange(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    stack_t next = {.ss_flags = SS_DISABLE}, present;
    int kept = errno;
    if (wanted && (wanted->flags & STACK_AUTODISARM))
        return -EINVAL;
    if (wanted && !(wanted->flags & STACK_DISABLED))
        next = (stack_t){.ss_sp = wanted->lowest, .ss_size = wanted->size};
    long result = sigaltstack(wanted ? &next : NULL, before ? &present : NULL) == 0 ? 0 : -(long)errno;
    errno = kept;
    if (!before || result != 0)
        return result;
    *before = (struct alternate_stack){.lowest = present.ss_sp, .size = present.ss_size};
    before->flags |= present.ss_flags & SS_ONSTACK ? STACK_IN_USE : 0;
    before->flags |= present.ss_flags & SS_DISABLE ? STACK_DISABLED : 0;
    return 0;
}

size_t platform_stack_least(void)
{
    return MINSIGSTKSZ;
}

bool platform_own_stack(uint64_t *base, uint64_t *end)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    bool known = pthread_attr_get_np(pthread_self(), &attributes) == 0 &&
                 pthread_attr_getstack(&attributes, &lowest, &size) == 0;
    pthread_attr_destroy(&attributes);
    *base = (uint64_t)(uintptr_t)lowest;
    *end = *base + size;
    return known;
}
