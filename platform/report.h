/* report.h: text for the user where nothing else works. */
#ifndef SEGUE_PLATFORM_REPORT_H
#define SEGUE_PLATFORM_REPORT_H

#include <stddef.h>

/* Writes the text to the process's standard error, in one piece where the system can. What cannot be written is lost.
 * Async-signal-safe, thread-safe; errno stays as it was. */
void platform_report(const char *text, size_t length);

#endif
