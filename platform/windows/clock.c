/* clock.c: see platform/clock.h. */
#if !defined(_WIN32)
#error "platform/windows/clock.c is specific to Windows"
#endif

#include "platform/clock.h"

#include <windows.h>

#define SECOND UINT64_C(1000000000)

uint64_t platform_clock(void)
{
    LARGE_INTEGER count, each;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&each);
    uint64_t now = (uint64_t)count.QuadPart, second = (uint64_t)each.QuadPart;
    return now / second * SECOND + now % second * SECOND / second;
}
