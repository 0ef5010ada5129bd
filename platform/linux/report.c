/* report.c: see platform/report.h. SOURCES: write(2). */
#if !defined(__linux__)
#error "platform/linux/report.c is specific to Linux"
#endif

#include "platform/report.h"

#include <unistd.h>

#include "call.h"

void platform_report(const char *text, size_t length)
{
    system_call3(SYS_write, STDERR_FILENO, (long)text, (long)length);
}
