/* entry_x86_64.S: what must not change registers, or is entered with registers that C does not expect. */
#include <cet.h>

        .text

/* As XNU enters it: rdi handler, esi style, edx number, rcx siginfo, r8 ucontext, r9 token. */
        .globl  loader_trampoline
        .type   loader_trampoline, @function
loader_trampoline:
        pushq   %rbp
        movq    %rsp, %rbp
        pushq   %r8
        pushq   %r9
        movq    %rdi, %rax
        movl    %edx, %edi
        movq    %rcx, %rsi
        movq    %r8, %rdx
        call    *%rax
        movq    -8(%rbp), %rdi
        movq    -16(%rbp), %rsi
        .globl  loader_restore
loader_restore:
        ud2
        .size   loader_trampoline, . - loader_trampoline

/* edi, rsi, rdx: as Linux enters it; see loader.h. */
        .globl  loader_on_signal
        .type   loader_on_signal, @function
loader_on_signal:
        _CET_ENDBR
        movq    %rsp, %rax
        andq    $-65536, %rax
        movq    (%rax), %rax
        wrfsbase %rax
        subq    $8, %rsp
        call    signals_handle
        addq    $8, %rsp
        testb   %al, %al
        je      1f
        xorl    %eax, %eax
        wrfsbase %rax
1:      ret
        .size   loader_on_signal, . - loader_on_signal

/* rdi: the descriptor {this function, image, offset}; rax: the variable. All other registers stay. The storage is
 * at GS, by the image's number. */
        .globl  loader_variable
        .type   loader_variable, @function
loader_variable:
        _CET_ENDBR
        movq    8(%rdi), %rax
        movq    %gs:(, %rax, 8), %rax
        testq   %rax, %rax
        je      1f
        addq    16(%rdi), %rax
        ret
1:      pushq   %rbp
        movq    %rsp, %rbp
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        subq    $512, %rsp
        andq    $-64, %rsp
        fxsave64 (%rsp)
        movq    8(%rdi), %rdi
        call    image_thread_storage
        fxrstor64 (%rsp)
        leaq    -64(%rbp), %rsp
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbp
        addq    16(%rdi), %rax
        ret
        .size   loader_variable, . - loader_variable

        .section .note.GNU-stack, "", @progbits
