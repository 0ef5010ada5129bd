/* thread.c: see platform/threads/thread.h.
 *
 * SOURCES: gettid(2), tgkill(2), rt_tgsigqueueinfo(2), rt_sigprocmask(2), futex(2), sigaltstack(2), getauxval(3)
 * AT_MINSIGSTKSZ, pthread_getattr_np(3); unshare(2): CLONE_VM is refused where another task uses the memory, and does
 * nothing otherwise (Linux kernel/fork.c check_unshare_flags). */
#if !defined(__linux__)
#error "platform/linux/threads/thread.c is specific to Linux"
#endif

#include "platform/threads/thread.h"
#include "platform/linux/abi.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>

#include "platform/handlers/action.h"
#include "platform/linux/alternate_stack.h"
#include "platform/linux/call.h"
#include "platform/linux/signal_bits.h"
#include "platform/posix/mask.h"

#define SECOND UINT64_C(1000000000)

NOT_CAUGHT int platform_thread_id(void)
{
    return (int)system_call3(SYS_gettid, 0, 0, 0);
}

NOT_CAUGHT int platform_process_id(void)
{
    return (int)system_call3(SYS_getpid, 0, 0, 0);
}

bool platform_thread_is_gone(int thread)
{
    return system_call3(SYS_tgkill, platform_process_id(), thread, 0) == -ESRCH;
}

NOT_CAUGHT bool platform_thread_is_alone(void)
{
    return system_call3(SYS_unshare, CLONE_VM, 0, 0) == 0;
}

NOT_CAUGHT bool platform_process_is_gone(int process)
{
    return system_call3(SYS_kill, process, 0, 0) == -ESRCH;
}

bool platform_thread_signal(int thread, int signal)
{
    return system_call3(SYS_tgkill, platform_process_id(), thread, signal) == 0;
}

long platform_thread_send(int thread, int signal, uint64_t word)
{
    siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};
    info.si_value.sival_ptr = (void *)(uintptr_t)word;
    return system_call4(SYS_rt_tgsigqueueinfo, platform_process_id(), thread, signal, (long)&info);
}

bool platform_signal_word(const void *info, uint64_t *word)
{
    const siginfo_t *sent = info;
    *word = (uint64_t)(uintptr_t)sent->si_value.sival_ptr;
    return sent->si_code == SI_QUEUE;
}

bool platform_handler_is(int signal, const void *handler)
{
    struct platform_action present;
    return platform_action_exchange(signal, NULL, &present) && present.handler == (uint64_t)(uintptr_t)handler;
}

/* By a signal that the C library leaves unblocked. */
void platform_thread_nudge(int thread)
{
    const unsigned long wanted = SA_SIGINFO | SA_ONSTACK;
    struct platform_action present;
    if (platform_action_exchange(SIGNAL_SETXID, NULL, &present) && present.handler != ACTION_DEFAULT &&
        present.handler != ACTION_IGNORE && (present.flags & wanted) == wanted &&
        !platform_thread_blocks(thread, SIGNAL_SETXID))
        platform_thread_send(thread, SIGNAL_SETXID, 0);
}

/* By the system call: the C library hides two signals of its own from a program's masks. */
uint64_t mask_change(int how, const uint64_t *bits)
{
    uint64_t before = 0;
    system_call4(SYS_rt_sigprocmask, how, (long)bits, (long)&before, sizeof before);
    return before;
}

__attribute__((hot)) uint64_t platform_mask_exchange(const uint64_t *wanted)
{
    return mask_change(SIG_SETMASK, wanted);
}

__attribute__((hot)) void platform_mask_set(uint64_t wanted)
{
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&wanted, 0, sizeof wanted);
}

bool platform_mask_is_allowed(void)
{
    uint64_t mask;
    return system_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof mask) == 0;
}

uint64_t platform_asynchronous_hold(void)
{
    const uint64_t asynchronous = ~(SIGNALS_SYNCHRONOUS | SIGNALS_OF_LIBC);
    return mask_change(SIG_BLOCK, &asynchronous);
}

static struct timespec to_timespec(uint64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / SECOND), .tv_nsec = (long)(nanoseconds % SECOND)};
}

NOT_CAUGHT void platform_sleep(uint64_t nanoseconds)
{
    struct timespec time = to_timespec(nanoseconds);
    system_call3(SYS_nanosleep, (long)&time, 0, 0);
}

void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    struct timespec time = to_timespec(nanoseconds);
    const struct timespec *limit = nanoseconds == PLATFORM_FOREVER ? NULL : &time;
    system_call4(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)value, (long)limit);
}

void platform_wake(const uint32_t *word, int most)
{
    system_call3(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, most);
}

long platform_stack_exchange(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    stack_t next, present;
    if (wanted)
        next = stack_to_system(wanted);
    long result = system_call3(SYS_sigaltstack, wanted ? (long)&next : 0, before ? (long)&present : 0, 0);
    if (before && result == 0)
        *before = stack_from_system(&present);
    return result;
}

size_t platform_stack_least(void)
{
    return getauxval(AT_MINSIGSTKSZ);
}

bool platform_own_stack(uint64_t *base, uint64_t *end)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool known = pthread_attr_getstack(&attributes, &lowest, &size) == 0;
    pthread_attr_destroy(&attributes);
    *base = known ? (uint64_t)(uintptr_t)lowest : 0;
    *end = known ? *base + size : 0;
    return known;
}
