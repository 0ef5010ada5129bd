/* jumps_x86_64.S: setjmp and longjmp of both systems: see loader.h. */
#include <cet.h>

        .text

/* FreeBSD's jmp_buf has 12 words, macOS's 148 bytes. */
        .globl  loader_setjmp
        .type   loader_setjmp, @function
loader_setjmp:
        _CET_ENDBR
        movq    %rbx, (%rdi)
        movq    %rbp, 8(%rdi)
        movq    %r12, 16(%rdi)
        movq    %r13, 24(%rdi)
        movq    %r14, 32(%rdi)
        movq    %r15, 40(%rdi)
        leaq    8(%rsp), %rax
        movq    %rax, 48(%rdi)
        movq    (%rsp), %rax
        movq    %rax, 56(%rdi)
        subq    $8, %rsp
        call    setjmp_note
        addq    $8, %rsp
        xorl    %eax, %eax
        ret
        .size   loader_setjmp, . - loader_setjmp

        .globl  loader_longjmp
        .type   loader_longjmp, @function
loader_longjmp:
        _CET_ENDBR
        pushq   %rdi
        pushq   %rsi
        subq    $8, %rsp
        call    longjmp_note
        addq    $8, %rsp
        popq    %rax
        popq    %rdi
        movq    (%rdi), %rbx
        movq    8(%rdi), %rbp
        movq    16(%rdi), %r12
        movq    24(%rdi), %r13
        movq    32(%rdi), %r14
        movq    40(%rdi), %r15
        movq    48(%rdi), %rsp
        testl   %eax, %eax
        jne     1f
        incl    %eax
1:      jmp     *56(%rdi)
        .size   loader_longjmp, . - loader_longjmp

        .section .note.GNU-stack, "", @progbits
