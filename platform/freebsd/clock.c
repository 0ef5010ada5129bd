/* clock.c: see platform/clock.h.
 *
 * SOURCES: clock_gettime(2). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/clock.c is specific to FreeBSD"
#endif

#include "platform/clock.h"

#include <time.h>

uint64_t platform_clock(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
