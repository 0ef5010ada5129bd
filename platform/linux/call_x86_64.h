/* call_x86_64.h: system calls without libc: they preserve errno and bind no symbol at run time, so a handler may make
 * them. Return the result, or a negative error number. */
#ifndef SEGUE_PLATFORM_CALL_X86_64_H
#define SEGUE_PLATFORM_CALL_X86_64_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "call_x86_64.h is specific to Linux on x86-64"
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Calls that have other names on other processors; an offset in a file as CALL_MAP takes it. */
#define CALL_MAP SYS_mmap
#define CALL_MAP_OFFSET(bytes) ((long)(bytes))
#define CALL_STAT SYS_stat
#define CALL_FSTAT SYS_fstat
/* clone(2) takes the base of the thread's storage after the child's TID. */
#define CALL_CLONE_TLS_FIRST 0

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

static inline long system_call4(long number, long first, long second, long third, long fourth)
{
    register long r10 __asm__("r10") = fourth;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long system_call3(long number, long first, long second, long third)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
}

/* pread64(2) and pwrite64(2). */
static inline long system_call_at(long number, int descriptor, const void *bytes, size_t size, uint64_t at)
{
    return system_call4(number, descriptor, (long)bytes, (long)size, (long)at);
}

#endif
