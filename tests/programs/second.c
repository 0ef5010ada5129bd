/* second.c: code that jumps to the second byte of a SYSCALL, from near and from far, by one byte of distance and by four. */
#include <stdio.h>
#define SITE(name, jump, far)                                                                                          \
    __asm__(".text\n.p2align 4\n" #name "_call: .cfi_startproc\n movl %edi,%eax\n" #name                                \
            "_site: .byte 0x0f,0x05,0xb9,0xaa,0xbb,0xcc,0xc3\n ret\n .cfi_endproc\n.p2align 4\n" far #name               \
            "_second: .cfi_startproc\n movl $5,%eax\n" jump " " #name "_site+1\n .cfi_endproc\n.p2align 4\n");           \
    long name##_call(int);                                                                                              \
    unsigned name##_second(void);
SITE(near, ".byte 0xeb; .byte near_site+1-.-1 #", "")
SITE(plain, "jmp", "")
SITE(far, "jmp", ".rept 300\n.cfi_startproc\n movl $1,%eax\n ret\n .cfi_endproc\n .p2align 4\n .endr\n")
SITE(conditional, "testl %eax,%eax; jne", ".rept 300\n.cfi_startproc\n movl $1,%eax\n ret\n .cfi_endproc\n .p2align 4\n .endr\n")
static int once(const char *name, long (*call)(int), unsigned (*second)(void))
{
    unsigned before = second();
    for (int i = 0; i < 300; i++)
        call(39);
    printf("%s %x %d\n", name, before, second() == before);
    fflush(stdout);
    return 0;
}
int main(void)
{
    once("near", near_call, near_second);
    once("plain", plain_call, plain_second);
    once("far", far_call, far_second);
    once("conditional", conditional_call, conditional_second);
    return 0;
}
