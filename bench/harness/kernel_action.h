/* kernel_action.h: a signal's action as the kernel has it, to be put in force again as it was. The C library's
 * sigaction would make a handler return through the C library, whoever had installed it; and the library asks once more
 * the caller then. */
#ifndef SEGUE_BENCH_KERNEL_ACTION_H
#define SEGUE_BENCH_KERNEL_ACTION_H

#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

/* Either may be NULL. */
static inline void kernel_action_exchange(int number, const struct kernel_action *set, struct kernel_action *get)
{
    if (syscall(SYS_rt_sigaction, number, set, get, sizeof set->mask) != 0)
        bench_fail("rt_sigaction: %s", strerror(errno));
}

#endif
