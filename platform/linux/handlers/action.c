/* action.c: see platform/handlers/action.h.
 *
 * SOURCES: rt_sigaction(2), rt_tgsigqueueinfo(2), rt_sigpending(2); Linux arch/x86/include/uapi/asm/signal.h. */
#if !defined(__linux__)
#error "platform/linux/handlers/action.c is specific to Linux"
#endif

#include "platform/handlers/action.h"

#include <signal.h>
#include <time.h>

#include "platform/asm_calls.h"
#include "platform/calls/calls.h"
#include "platform/linux/call.h"
#include "platform/linux/signal_bits.h"
#include "platform/threads/thread.h"

#define MASK_SIZE 8

/* As the kernel has it (struct sigaction). */
struct kernel_action {
    unsigned long handler, flags, restorer;
    uint64_t mask;
};
_Static_assert(SIG_BLOCK == CALL_SIG_BLOCK && SIG_SETMASK == CALL_SIG_SETMASK &&
                   sizeof(struct kernel_action) == SIGNAL_ACTION_SIZE && sizeof(uint64_t) == SIGNAL_MASK_SIZE,
               "the assembly's macros have other numbers");

/* Not caught: where calls are, the program's actions for some signals are others than the kernel's (platform/calls). */
NOT_CAUGHT static long change(int number, const struct kernel_action *next, struct kernel_action *present)
{
    return system_call4(SYS_rt_sigaction, number, (long)next, (long)present, MASK_SIZE);
}

long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct kernel_action next, present;
    if (wanted)
        next = (struct kernel_action){(unsigned long)wanted->handler, (unsigned long)wanted->flags,
                                      (unsigned long)wanted->restorer, wanted->mask};
    long result = change(number, wanted ? &next : NULL, before ? &present : NULL);
    if (before && result == 0)
        *before = (struct platform_action){present.handler, present.flags, present.restorer, present.mask};
    return result;
}

uint64_t platform_signals_left_open(void)
{
    return SIGNALS_SYNCHRONOUS | SIGNAL_BIT(SIGNAL_SETXID);
}

bool platform_signal_is_free(int number)
{
    const uint64_t taken = SIGNALS_SYNCHRONOUS | SIGNALS_OF_LIBC | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP);
    return number > 0 && number < _NSIG && !(taken & SIGNAL_BIT(number));
}

void platform_signal_queue_again(int number, const void *info)
{
    system_call4(SYS_rt_tgsigqueueinfo, platform_process_id(), platform_thread_id(), number, (long)info);
}

/* Not caught: it is asked for on a program's stack. */
NOT_CAUGHT bool platform_signal_take(int number, struct kept_info *kept)
{
    const uint64_t wanted = SIGNAL_BIT(number);
    const struct timespec none = {0};
    siginfo_t info;
    if (system_call4(SYS_rt_sigtimedwait, (long)&wanted, (long)&info, (long)&none, MASK_SIZE) != number)
        return false;
    kept_info_keep(kept, &info);
    return true;
}

bool platform_signal_is_pending(int number)
{
    uint64_t pending = 0;
    system_call3(SYS_rt_sigpending, (long)&pending, MASK_SIZE, 0);
    return pending & SIGNAL_BIT(number);
}
