/* clock.c: see platform/clock.h.
 *
 * SOURCES: clock_gettime_nsec_np(3). */
#if !defined(__APPLE__)
#error "platform/darwin/clock.c is specific to macOS"
#endif

#include "platform/clock.h"

#include <time.h>

uint64_t platform_clock(void)
{
    return clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
}
