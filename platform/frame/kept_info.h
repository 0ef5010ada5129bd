/* kept_info.h: the part of a siginfo that a kernel fills, for thread-local storage: each copy of the library in a
 * process needs its own.
 *
 * SOURCES: Linux include/linux/signal_types.h, kernel_siginfo: 48 bytes since 4.20, what is behind them is zero. Before
 * that a program could send itself more than there are fields for. */
#ifndef SEGUE_PLATFORM_KEPT_INFO_H
#define SEGUE_PLATFORM_KEPT_INFO_H

#include <stdint.h>

struct kept_info {
    /* As in a siginfo_t (platform/linux/frame/frame.c compares them); 0: empty. */
    int si_signo;
    int words[1 + sizeof(uintptr_t) / 4];
    /* si_addr, where the signal has one. */
    uintptr_t address;
    uint32_t more[(48 - 8 - 2 * sizeof(uintptr_t)) / 4];
};

/* `info` is a siginfo_t. Async-signal-safe. */
void kept_info_keep(struct kept_info *kept, const void *info);
void kept_info_give(const struct kept_info *kept, void *info);

/* Sends the stored signal to the calling thread again. Async-signal-safe. */
void kept_info_send_again(const struct kept_info *kept, int number);

#endif
