/* pointer.c: a program without a C library, whose thread pointer leads to memory that its program header does not
 * describe. */
#include <asm/prctl.h>
#include <sys/syscall.h>

long counter;
static long memory[64];

static long call(long number, long first, long second)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(first), "S"(second) : "rcx", "r11", "memory");
    return result;
}

void _start(void)
{
    counter++;
    call(SYS_arch_prctl, ARCH_SET_FS, (long)&memory[32]);
    counter++;
    call(SYS_exit_group, 0, 0);
    __builtin_unreachable();
}
