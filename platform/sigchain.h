/* sigchain.h: between the library and libsegue-sigchain.so, which stands before the C library in a program that knows
 * nothing of Segue, and answers it as if Segue were not there. The library looks for sigchain_attach's public name when
 * it is installed; all that it gives is async-signal-safe. */
#ifndef SEGUE_PLATFORM_SIGCHAIN_H
#define SEGUE_PLATFORM_SIGCHAIN_H

#include <signal.h>
#include <stdint.h>

#include "action.h"

struct sigchain_face {
    /* The signals that are Segue's, a bit each from 1 on; the kernel is not to hear from a program about them. */
    uint64_t signals;
    /* sigaction(2) for one of them; either may be NULL. */
    void (*action)(int number, const struct platform_action *wanted, struct platform_action *before);
    /* Which of them the calling thread believes to have blocked; those in `wanted` are from then on. */
    uint64_t (*mask)(void);
    void (*set_mask)(uint64_t wanted);
    /* Which of them wait for the thread to let them through. */
    uint64_t (*pending)(void);
    /* sigaltstack(2): 0, or an error number; -1 where the kernel is to be asked. */
    int (*stack)(const stack_t *wanted, stack_t *before);
};

/* What the preloaded library exports. `face` is NULL when Segue is taken out. */
typedef void sigchain_attach(const struct sigchain_face *face);
#define SIGCHAIN_ATTACH "segue_sigchain_attach"

#endif
