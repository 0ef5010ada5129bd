/* hold.c: see platform/threads/thread.h: all signals are held, where a mask of 64 bits has all of them.
 *
 * SOURCES: pthread_sigmask(3). */
#if defined(_WIN32)
#error "platform/posix/hold.c is specific to POSIX"
#endif

#include "mask.h"

#include <signal.h>

#include "platform/threads/thread.h"

uint64_t platform_signals_hold(void)
{
    const uint64_t all = UINT64_MAX;
    return mask_change(SIG_SETMASK, &all);
}

void platform_signals_release(uint64_t before)
{
    platform_mask_set(before);
}
