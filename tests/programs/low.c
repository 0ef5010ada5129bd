/* low.c: system calls from a stack that has no room below its pointer, often enough for a detour. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#define PAGE 4096
int main(void)
{
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *top = pages + PAGE + 16;
    pid_t (*volatile call)(void) = getppid;
    long result = 0, expected = getppid();
    unsigned right = 0;
    if (pages == MAP_FAILED || mprotect(pages, PAGE, PROT_NONE) != 0)
        return 1;
    for (int i = 0; i < 300; i++) {
        __asm__ volatile("movq %%rsp, %%rbx\n movq %1, %%rsp\n call *%2\n movq %%rbx, %%rsp"
                         : "=a"(result)
                         : "r"(top), "r"(call)
                         : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
        right += result == expected;
    }
    printf("%u of 300\n", right);
    return 0;
}
