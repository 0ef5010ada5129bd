/* mask.c: see platform/threads/thread.h, "blocked signals": where no filter of system calls may forbid to change masks.
 *
 * SOURCES: pthread_sigmask(3). */
#if defined(_WIN32)
#error "platform/posix/called/mask.c is specific to POSIX"
#endif

#include "platform/posix/mask.h"

#include <signal.h>

#include "platform/threads/thread.h"

__attribute__((hot)) uint64_t platform_mask_exchange(const uint64_t *wanted)
{
    return mask_change(SIG_SETMASK, wanted);
}

__attribute__((hot)) void platform_mask_set(uint64_t wanted)
{
    mask_change(SIG_SETMASK, &wanted);
}

bool platform_mask_is_allowed(void)
{
    return true;
}
