/* kept_info.h: as much of a siginfo_t as a kernel fills, for thread-local storage, of which every copy of the library in
 * a process needs its own.
 *
 * SOURCES: Linux include/linux/signal_types.h, kernel_siginfo: 48 bytes since 4.20, what is behind them is zero. Before
 * that a program could send itself more than there are fields for. */
#ifndef SEGUE_SIGNALS_KEPT_INFO_H
#define SEGUE_SIGNALS_KEPT_INFO_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

struct kept_info {
    /* As in a siginfo_t; 0: nothing is kept. */
    int si_signo;
    int words[3];
    /* si_addr, where the signal has one. */
    uint64_t address;
    uint64_t more[3];
};
_Static_assert(offsetof(struct kept_info, address) == offsetof(siginfo_t, si_addr), "the layout is the kernel's");

static inline void kept_info_keep(struct kept_info *kept, const siginfo_t *info)
{
    __builtin_memcpy(kept, info, sizeof *kept);
}

static inline void kept_info_give(const struct kept_info *kept, siginfo_t *info)
{
    __builtin_memset(info, 0, sizeof *info);
    __builtin_memcpy(info, kept, sizeof *kept);
}

#endif
