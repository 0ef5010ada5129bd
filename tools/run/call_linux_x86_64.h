/* call_linux_x86_64.h: bare system calls with more arguments than the library itself needs. */
#ifndef SEGUE_RUN_CALL_H
#define SEGUE_RUN_CALL_H

#include <stdbool.h>

#include "../../decode/system/call_linux_x86_64.h"

static inline long system_call6(long number, long first, long second, long third, long fourth, long fifth, long sixth)
{
    register long r10 __asm__("r10") = fourth;
    register long r8 __asm__("r8") = fifth;
    register long r9 __asm__("r9") = sixth;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#endif
