/* report.h: writes text for the user where no other output works. */
#ifndef SEGUE_PLATFORM_REPORT_H
#define SEGUE_PLATFORM_REPORT_H

#include <stddef.h>

/* Writes the text to standard error, in one piece if the system can. Text that cannot be written is lost.
 * Async-signal-safe, thread-safe; preserves errno. */
void platform_report(const char *text, size_t length);

#endif
