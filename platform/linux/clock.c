/* clock.c: see platform/clock.h. SOURCES: clock_gettime(2). */
#if !defined(__linux__)
#error "platform/linux/clock.c is specific to Linux"
#endif

#include "platform/clock.h"

#include <time.h>

#include "call.h"

uint64_t platform_clock(void)
{
    struct timespec time = {0};
    system_call3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
