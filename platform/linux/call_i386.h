/* call_i386.h: system calls without libc: they preserve errno and bind no symbol at run time, so a handler may make
 * them. Return the result, or a negative error number.
 *
 * SOURCES: syscall(2): the number in EAX, the arguments in EBX, ECX, EDX, ESI, EDI and EBP; mmap2(2): the offset counts
 * pages; Linux arch/x86/include/asm/syscall_wrapper.h (a 64-bit argument takes two registers, the lower half first);
 * stat(2): the C library's struct stat64 is what stat64 fills, its struct stat is not the kernel's. By INT, and not by
 * the kernel's own entry in the vDSO, which is found through GS. */
#ifndef SEGUE_PLATFORM_CALL_I386_H
#define SEGUE_PLATFORM_CALL_I386_H

#if !defined(__linux__) || !defined(__i386__)
#error "call_i386.h is specific to Linux on i386"
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Calls that have other names on other processors; an offset in a file as CALL_MAP takes it. */
#define CALL_MAP SYS_mmap2
#define CALL_MAP_OFFSET(bytes) ((long)((bytes) >> 12))
#define CALL_STAT SYS_stat64
#define CALL_FSTAT SYS_fstat64
/* clone(2) takes the descriptor of the thread's storage before the child's TID. */
#define CALL_CLONE_TLS_FIRST 1

static inline long system_call3(long number, long first, long second, long third)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}

static inline long system_call4(long number, long first, long second, long third, long fourth)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(third), "S"(fourth)
                     : "memory");
    return result;
}

/* EBP may be the frame pointer, and the operands may be relative to the stack pointer: so one register leads to both
 * of its values. */
static inline long system_call6(long number, long first, long second, long third, long fourth, long fifth, long sixth)
{
    const long last[] = {first, sixth};
    long result;
    __asm__ volatile("pushl %%ebp\n\t"
                     "pushl %%ebx\n\t"
                     "movl 4(%%ebx), %%ebp\n\t"
                     "movl (%%ebx), %%ebx\n\t"
                     "int $0x80\n\t"
                     "popl %%ebx\n\t"
                     "popl %%ebp"
                     : "=a"(result)
                     : "a"(number), "b"(last), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
                     : "memory");
    return result;
}

/* pread64(2) and pwrite64(2). */
static inline long system_call_at(long number, int descriptor, const void *bytes, size_t size, uint64_t at)
{
    return system_call6(number, descriptor, (long)bytes, (long)size, (long)(uint32_t)at, (long)(at >> 32), 0);
}

#endif
