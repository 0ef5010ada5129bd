/* action.h: what the kernel does when a signal comes, asked without libc, which hides two signals of its own and
 * answers for handlers that it has wrapped. */
#ifndef SEGUE_PLATFORM_LINUX_ACTION_H
#define SEGUE_PLATFORM_LINUX_ACTION_H

#if !defined(__linux__)
#error "platform/linux/action.h is specific to Linux"
#endif

#include <stdbool.h>
#include <stdint.h>

#include "call.h"

/* As the kernel has it (arch/x86/include/uapi/asm/signal.h). */
struct kernel_action {
    const void *handler;
    unsigned long flags;
    const void *restorer;
    uint64_t mask;
};

/* Async-signal-safe. */
static inline bool kernel_action_read(int signal, struct kernel_action *action)
{
    return system_call4(SYS_rt_sigaction, signal, 0, (long)action, sizeof action->mask) == 0;
}

#endif
