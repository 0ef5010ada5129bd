/* mask_linux.c: the signal mask, without libc between: it hides two signals of its own from a program's masks. */
#if !defined(__linux__)
#error "mask_linux.c is specific to Linux"
#endif

#include "mask.h"

#include <segue/posix.h>
#include <string.h>

#include "platform/linux/call_x86_64.h"

uint64_t mask_exchange(const uint64_t *wanted)
{
    uint64_t before = 0;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)wanted, (long)&before, sizeof before);
    return before;
}

enum segue_status segue_context_set_mask(struct segue_context *context, const sigset_t *mask)
{
    if (!context || !mask || !(context->flags & SEGUE_CONTEXT_OWN_MASK))
        return SEGUE_INVALID;
    memcpy(&context->mask, mask, sizeof context->mask);
    return SEGUE_OK;
}
