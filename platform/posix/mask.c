/* mask.c: see platform/threads/thread.h, "blocked signals".
 *
 * SOURCES: pthread_sigmask(3). */
#if defined(_WIN32)
#error "platform/posix/mask.c is specific to POSIX"
#endif

#include "mask.h"

#include <signal.h>

#include "platform/threads/thread.h"

uint64_t platform_mask_block(uint64_t signals)
{
    return mask_change(SIG_BLOCK, &signals);
}

uint64_t platform_mask_unblock(uint64_t signals)
{
    return mask_change(SIG_UNBLOCK, &signals);
}
