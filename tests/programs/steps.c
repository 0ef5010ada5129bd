/* A program that steps through itself, over a system call that it has made often: where each step ends. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

#define MOST 100

static volatile unsigned steps;
static uint64_t places[MOST];
extern const char stepped[];

static void on_trap(int number, siginfo_t *info, void *context)
{
    const ucontext_t *frame = context;
    (void)number;
    (void)info;
    if (steps < MOST)
        places[steps++] = (uint64_t)frame->uc_mcontext.gregs[REG_RIP] - (uint64_t)stepped;
}

__asm__(".text\n"
        ".p2align 4\n"
        "stepped:\n"
        ".cfi_startproc\n"
        "movl $39, %eax\n"
        "syscall\n"
        "addl $1, %eax\n"
        "movl $9999, %eax\n"
        "syscall\n"
        "negl %eax\n"
        "movl $13, %eax\n"
        "xorl %edi, %edi\n"
        "syscall\n"
        "nopw (%rax)\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 4\n"
        "ret\n");

/* The calls' stack is below the red zone. */
static void call(uint64_t flags)
{
    __asm__ volatile("subq $128, %%rsp\n"
                     "pushfq\n"
                     "orq %0, (%%rsp)\n"
                     "popfq\n"
                     "call stepped\n"
                     "pushfq\n"
                     "andl $~0x100, (%%rsp)\n"
                     "popfq\n"
                     "addq $128, %%rsp"
                     :
                     : "r"(flags)
                     : "rax", "rcx", "rdi", "r11", "cc", "memory");
}

/* The first step ends behind a system call that was made before, reached by a jump. */
static void call_and_come_back(void)
{
    __asm__ volatile("xorl %%ebx, %%ebx\n"
                     "subq $128, %%rsp\n"
                     "movl $39, %%eax\n"
                     "syscall\n"
                     "1: incl %%ebx\n"
                     "cmpl $2, %%ebx\n"
                     "je 2f\n"
                     "pushfq\n"
                     "orq $0x100, (%%rsp)\n"
                     "popfq\n"
                     "jmp 1b\n"
                     "2: pushfq\n"
                     "andl $~0x100, (%%rsp)\n"
                     "popfq\n"
                     "addq $128, %%rsp"
                     :
                     :
                     : "rax", "rbx", "rcx", "r11", "cc", "memory");
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    for (unsigned i = 0; i < 300; i++)
        call(0);
    call(0x100);
    for (unsigned i = 0; i < steps; i++)
        if (places[i] < 64)
            printf("%u ", (unsigned)places[i]);
    printf("in %u steps\n", steps);
    steps = 0;
    call_and_come_back();
    printf("%u more\n", steps);
    return 0;
}
