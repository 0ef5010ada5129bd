/* report.c: see platform/report.h.
 *
 * SOURCES: write(2). */
#if !defined(__APPLE__)
#error "platform/darwin/report.c is specific to macOS"
#endif

#include "platform/report.h"

#include <errno.h>
#include <unistd.h>

void platform_report(const char *text, size_t length)
{
    int kept = errno;
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written;
    errno = kept;
}
