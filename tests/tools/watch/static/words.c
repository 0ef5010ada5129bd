/* words.c: a program that is linked statically makes threads whose ends the kernel shows in a word beside `counter`: by
 * clone and by clone3. Prints how many threads it has joined so, and how many registers were others afterwards. */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK 65536u
#define FLAGS                                                                                                          \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |                 \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
/* Looks at a word, and the pause between in microseconds: 20 seconds. */
#define LOOKS 20000
#define PAUSE 1000

/* In one page. */
__asm__(".pushsection .bss\n"
        ".balign 4096\n"
        ".globl counter, word\n"
        ".type counter, @object\n"
        ".size counter, 8\n"
        "counter: .skip 8\n"
        "word: .skip 4088\n"
        ".popsection");
extern long counter;
extern volatile int word;

/* Of the C library: thread-local memory for one more thread. */
void *_dl_allocate_tls(void *memory);

/* A thread's registers at its first instruction, and its parent's behind the call. */
struct registers {
    uint64_t rdi, rsi, rdx, r10, r8, r9;
};
struct registers child, parent;
long started;

/* Makes the call; the child writes its registers down, counts, and ends. */
long begin_thread(long number, const struct registers *with);
__asm__(".macro KEEP to\n"
        "movq %rdi, \\to(%rip)\n"
        "movq %rsi, \\to + 8(%rip)\n"
        "movq %rdx, \\to + 16(%rip)\n"
        "movq %r10, \\to + 24(%rip)\n"
        "movq %r8, \\to + 32(%rip)\n"
        "movq %r9, \\to + 40(%rip)\n"
        ".endm\n"
        "begin_thread:\n"
        "movq %rdi, %rax\n"
        "movq %rsi, %r11\n"
        "movq (%r11), %rdi\n"
        "movq 8(%r11), %rsi\n"
        "movq 16(%r11), %rdx\n"
        "movq 24(%r11), %r10\n"
        "movq 32(%r11), %r8\n"
        "movq 40(%r11), %r9\n"
        "syscall\n"
        "testq %rax, %rax\n"
        "jz 1f\n"
        "KEEP parent\n"
        "ret\n"
        "1:\n"
        "KEEP child\n"
        "movq %rsp, started(%rip)\n"
        "lock incq counter(%rip)\n"
        "movl $60, %eax\n"
        "xorl %edi, %edi\n"
        "syscall\n"
        "hlt\n");

static int join(void)
{
    for (int i = 0; word && i < LOOKS; i++)
        usleep(PAUSE);
    return word == 0;
}

static int count_others(const struct registers *with, const void *stack)
{
    return (memcmp(with, &parent, sizeof parent) != 0) + (memcmp(with, &child, sizeof child) != 0) +
           (started != (long)stack);
}

int main(void)
{
    int joined = 0, others = 0;
    for (int i = 0; i < 4; i++) {
        char *stack = aligned_alloc(4096, STACK);
        void **tls = _dl_allocate_tls(NULL);
        int number = 0;
        tls[0] = tls[2] = tls;
        struct clone_args args = {.flags = FLAGS,
                                  .child_tid = (uintptr_t)&word,
                                  .parent_tid = (uintptr_t)&number,
                                  .stack = (uintptr_t)stack,
                                  .stack_size = STACK,
                                  .tls = (uintptr_t)tls};
        const struct registers by_clone = {
            FLAGS, (uintptr_t)(stack + STACK), (uintptr_t)&number, (uintptr_t)&word, (uintptr_t)tls, 6};
        const struct registers by_clone3 = {(uintptr_t)&args, sizeof args, 3, 4, 5, 6};
        const struct registers *with = i % 2 ? &by_clone3 : &by_clone;
        word = 1;
        if (begin_thread(i % 2 ? SYS_clone3 : SYS_clone, with) <= 0)
            return 1;
        joined += join();
        others += count_others(with, stack + STACK) + (number == 0);
    }
    printf("%d joined, %d others, counter %ld\n", joined, others, counter);
    return 0;
}
