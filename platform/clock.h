/* clock.h: monotonic time. */
#ifndef SEGUE_PLATFORM_CLOCK_H
#define SEGUE_PLATFORM_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some moment before this process began; never less than an earlier answer. Async-signal-safe,
 * thread-safe; errno stays as it was. */
uint64_t platform_clock(void);

/* From now on it makes no system call, if the system has a way without. Not async-signal-safe. */
void platform_clock_prepare(void);

#endif
