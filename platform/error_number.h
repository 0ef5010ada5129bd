/* error_number.h: the thread's error number, which a handler keeps for the code that it interrupts: errno, or where the
 * system has one of its own, that. */
#ifndef SEGUE_PLATFORM_ERROR_NUMBER_H
#define SEGUE_PLATFORM_ERROR_NUMBER_H

/* Both are async-signal-safe. */
#if defined(_WIN32)
#if defined(__x86_64__)
#define LAST_ERROR "%%gs:0x68"
#else
#define LAST_ERROR "%%fs:0x34"
#endif
/* LastErrorValue in the thread's block, by the instructions of GetLastError and SetLastError. The C library's errno
 * allocates at a thread's first use of it; nothing that a handler calls changes it. */
static inline int error_number_get(void)
{
    int number;
    __asm__ volatile("movl " LAST_ERROR ", %0" : "=r"(number));
    return number;
}

static inline void error_number_set(int number)
{
    __asm__ volatile("movl %0, " LAST_ERROR : : "r"(number) : "memory");
}
#else
#include <errno.h>

static inline int error_number_get(void)
{
    return errno;
}

static inline void error_number_set(int number)
{
    errno = number;
}
#endif

#endif
