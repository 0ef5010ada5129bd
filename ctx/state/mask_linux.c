/* mask_linux.c: the signal mask, without libc between: it hides two signals of its own from a program's masks. */
#if !defined(__linux__)
#error "mask_linux.c is specific to Linux"
#endif

#include "mask.h"

#include <signal.h>

#include "platform/linux/call_x86_64.h"

uint64_t mask_exchange(const uint64_t *wanted)
{
    uint64_t before = 0;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)wanted, (long)&before, sizeof before);
    return before;
}
