/* thread.c: see platform/threads/thread.h.
 *
 * SOURCES: pthread_sigmask(2), sigaltstack(2), pthread_kill(2) of macOS; pthread.h (pthread_mach_thread_np,
 * pthread_get_stackaddr_np); XNU bsd/kern/sys_ulock.c and bsd/sys/ulock.h (a word that threads wait for). ASSUMPTION:
 * these functions make a system call each, and neither allocate nor lock. */
#if !defined(__APPLE__)
#error "platform/darwin/threads/thread.c is specific to macOS"
#endif

#include "platform/threads/thread.h"

#include <errno.h>
#include <mach/mach.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "platform/frame/stack.h"
#include "platform/posix/mask.h"
#include "slots.h"

#define SECOND UINT64_C(1000000000)
#define MICROSECOND UINT64_C(1000)

/* Not in the system's headers. The time is in microseconds; 0: no limit. */
int __ulock_wait(uint32_t operation, void *address, uint64_t value, uint32_t timeout);
int __ulock_wake(uint32_t operation, void *address, uint64_t value);
int __pthread_kill(mach_port_t thread, int signal);
#define ULOCK_COMPARE 1u
#define ULOCK_ALL 0x100u

const void *platform_thread_self(void)
{
    return pthread_self();
}

int platform_thread_id(void)
{
    return (int)pthread_mach_thread_np(pthread_self());
}

int platform_process_id(void)
{
    return getpid();
}

bool platform_thread_is_gone(int thread)
{
    thread_basic_info_data_t info;
    mach_msg_type_number_t size = THREAD_BASIC_INFO_COUNT;
    return thread_info((thread_act_t)thread, THREAD_BASIC_INFO, (thread_info_t)&info, &size) != KERN_SUCCESS;
}

/* The system call itself: the C library's function takes a lock. */
bool platform_thread_signal(int thread, int signal)
{
    int kept = errno;
    bool done = __pthread_kill((mach_port_t)thread, signal) == 0;
    errno = kept;
    return done;
}

/* ---- blocked signals ---- */

uint64_t mask_change(int how, const uint64_t *bits)
{
    sigset_t wanted = bits ? (sigset_t)*bits : 0, before = 0;
    pthread_sigmask(how, bits ? &wanted : NULL, &before);
    return before;
}

uint64_t platform_asynchronous_hold(void)
{
    const uint64_t asynchronous = ~SIGNALS_SYNCHRONOUS;
    return mask_change(SIG_BLOCK, &asynchronous);
}

/* ---- waiting ---- */

void platform_sleep(uint64_t nanoseconds)
{
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / SECOND), .tv_nsec = (long)(nanoseconds % SECOND)};
    int kept = errno;
    nanosleep(&time, NULL);
    errno = kept;
}

void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    uint64_t microseconds = nanoseconds / MICROSECOND + 1;
    uint32_t limit = microseconds < UINT32_MAX ? (uint32_t)microseconds : UINT32_MAX;
    int kept = errno;
    __ulock_wait(ULOCK_COMPARE, (void *)(uintptr_t)word, value, nanoseconds == PLATFORM_FOREVER ? 0 : limit);
    errno = kept;
}

void platform_wake(const uint32_t *word, int most)
{
    int kept = errno;
    __ulock_wake(ULOCK_COMPARE | (most == 1 ? 0 : ULOCK_ALL), (void *)(uintptr_t)word, 0);
    errno = kept;
}

/* ---- stacks ---- */

static struct alternate_stack from_system(const stack_t *stack)
{
    unsigned flags = stack->ss_flags & SS_ONSTACK ? STACK_IN_USE : 0;
    return (struct alternate_stack){.lowest = stack->ss_sp,
                                    .flags = flags | (stack->ss_flags & SS_DISABLE ? STACK_DISABLED : 0),
                                    .size = stack->ss_size};
}

long platform_stack_exchange(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    stack_t next = {.ss_flags = 0}, present;
    int kept = errno;
    if (wanted && (wanted->flags & STACK_AUTODISARM))
        return -EINVAL;
    if (wanted)
        next = (stack_t){.ss_sp = wanted->lowest,
                         .ss_size = wanted->flags & STACK_DISABLED ? MINSIGSTKSZ : wanted->size,
                         .ss_flags = wanted->flags & STACK_DISABLED ? SS_DISABLE : 0};
    long result = sigaltstack(wanted ? &next : NULL, before ? &present : NULL) == 0 ? 0 : -(long)errno;
    if (before && result == 0)
        *before = from_system(&present);
    if (wanted && result == 0)
        slots_note_stack(wanted);
    errno = kept;
    return result;
}

size_t platform_stack_least(void)
{
    return MINSIGSTKSZ;
}

bool platform_own_stack(uint64_t *base, uint64_t *end)
{
    *end = (uint64_t)(uintptr_t)pthread_get_stackaddr_np(pthread_self());
    *base = *end - pthread_get_stacksize_np(pthread_self());
    return true;
}
