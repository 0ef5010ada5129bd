/* report.c: see platform/report.h.
 *
 * SOURCES: write(2). */
#if defined(_WIN32)
#error "platform/posix/called/report.c is specific to POSIX"
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
