/* call.h: system calls without libc, by the processor's own instruction. */
#ifndef SEGUE_PLATFORM_CALL_H
#define SEGUE_PLATFORM_CALL_H

#if !defined(__linux__)
#error "platform/linux/call.h is specific to Linux"
#endif

#if defined(__x86_64__)
#include "call_x86_64.h"
#elif defined(__i386__)
#include "call_i386.h"
#else
#error "no system calls are known for this processor"
#endif

#include <stdbool.h>

/* A function whose system calls are not caught where the program's are (platform/calls/calls.h): those that a handler
 * asks for often, or on a stack that may have no room for one more frame. */
#define NOT_CAUGHT __attribute__((section("segue_exempt"), noinline))

/* Whether a system call that returns an address has failed: where an address has 32 bits, it may be negative. */
static inline bool system_call_failed(long result)
{
    return result < 0 && result >= -4095;
}

#endif
