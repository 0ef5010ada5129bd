/* action_linux_x86_64.h: signal actions as the kernel takes them. The C library's sigaction may be somebody else's: a
 * preloaded library's, a sanitizer's. */
#ifndef SEGUE_SIGNALS_ACTION_H
#define SEGUE_SIGNALS_ACTION_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "action_linux_x86_64.h is specific to Linux on x86-64"
#endif

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "platform/linux/call_x86_64.h"
#include "restorer.h"
#include "signals/handler/dispatch.h"

#define KERNEL_MASK_SIZE 8
/* The C library's own, by which it lets all threads change their user; it does nothing when others send it. */
#define ACTION_SETXID 33
#define KERNEL_SA_RESTORER 0x04000000u

struct kernel_action {
    uint64_t handler, flags, restorer, mask;
};

/* Reads the action in force into `*before` and puts `*wanted` in its place, each if it is not NULL; a handler that has
 * no way back gets ours. False if there is no such signal, or it cannot be caught. Async-signal-safe. */
static inline bool action_exchange(int number, const struct sigaction *wanted, struct sigaction *before)
{
    struct kernel_action old, next;
    if (wanted) {
        next = (struct kernel_action){
            .handler = (uint64_t)(uintptr_t)wanted->sa_handler,
            .flags = (uint32_t)wanted->sa_flags,
            .restorer = (uint64_t)(uintptr_t)wanted->sa_restorer,
        };
        memcpy(&next.mask, &wanted->sa_mask, sizeof next.mask);
        if (wanted->sa_handler != SIG_DFL && !(next.flags & KERNEL_SA_RESTORER)) {
            next.flags |= KERNEL_SA_RESTORER;
            next.restorer = (uint64_t)(uintptr_t)restorer_plain;
        }
    }
    if (system_call4(SYS_rt_sigaction, number, (long)(wanted ? &next : NULL), (long)&old, KERNEL_MASK_SIZE) != 0)
        return false;
    if (before) {
        memset(before, 0, sizeof *before);
        before->sa_handler = (void (*)(int))(uintptr_t)old.handler;
        before->sa_flags = (int)(uint32_t)old.flags;
        before->sa_restorer = (void (*)(void))(uintptr_t)old.restorer;
        memcpy(&before->sa_mask, &old.mask, sizeof old.mask);
    }
    return true;
}

/* Whether the action is the library's own handler. */
static inline bool action_is_ours(const struct sigaction *action)
{
    return (uintptr_t)action->sa_sigaction == (uintptr_t)signal_entry;
}

#endif
