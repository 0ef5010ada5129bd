/* sigchain.h: the interface between the library and libsegue-sigchain.so, which is preloaded before the C library in
 * a program that knows nothing of Segue, and answers it as if Segue were not there. When installed, the library looks
 * up sigchain_attach's public name; all that it passes there is async-signal-safe. */
#ifndef SEGUE_PLATFORM_SIGCHAIN_H
#define SEGUE_PLATFORM_SIGCHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "action.h"
#include "platform/frame/stack.h"

struct sigchain_face {
    /* The signals that Segue handles, one bit each from 1 on; a program's calls about them do not reach the kernel. */
    uint64_t signals;
    /* sigaction(2) for one of them; either may be NULL. */
    void (*action)(int number, const struct platform_action *wanted, struct platform_action *before);
    /* The calling thread's virtual mask: those of them that it believes to have blocked; `wanted` replaces it. */
    uint64_t (*mask)(void);
    void (*set_mask)(uint64_t wanted);
    /* Those of them that are pending until the thread unblocks them. */
    uint64_t (*pending)(void);
    /* sigaltstack(2), either may be NULL: 0, or an error number; -1 if the kernel must be asked. */
    int (*stack)(const struct alternate_stack *wanted, struct alternate_stack *before);
    /* Blocks signals in the kernel's mask, which it returns as it was: also where the C library's call would not,
     * because the library keeps them open wherever system calls are caught. */
    uint64_t (*block)(uint64_t signals);
};

/* The function that the preloaded library exports. `face` is NULL when Segue is uninstalled. */
typedef void sigchain_attach(const struct sigchain_face *face);
#define SIGCHAIN_ATTACH "segue_sigchain_attach"

/* Exported too: whether the program changes masks and alternate stacks by system calls while it sets handlers by the C
 * library. What it believes cannot be known then, and the library does not attach. */
typedef bool sigchain_is_bypassed(void);
#define SIGCHAIN_IS_BYPASSED "segue_sigchain_is_bypassed"

#endif
