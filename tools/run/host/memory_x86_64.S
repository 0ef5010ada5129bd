/* memory_x86_64.S: the host's accesses to the program's memory, which may fault (memory.h). */
#include <cet.h>

#include "layout.h"

/* bool run_copy(void *to, const void *from, size_t size): false if memory could not be reached; the handler sends the
 * fault of its one access to run_copy_failed. */
        .section .text.run_copy, "ax", @progbits
        .globl  run_copy, run_copy_access, run_copy_failed
        .hidden run_copy, run_copy_access, run_copy_failed
        .type   run_copy, @function
        .p2align 4
run_copy:
        .cfi_startproc
        _CET_ENDBR
        movq    %rdx, %rcx
run_copy_access:
        rep movsb
        movl    $1, %eax
        ret
run_copy_failed:
        xorl    %eax, %eax
        ret
        .cfi_endproc
        .size   run_copy, . - run_copy

/* bool run_try(void (*function)(void *), void *context): the handler sends a fault in it to run_try_failed, with the
 * thread's `tries` as its stack pointer. */
        .section .text.run_try, "ax", @progbits
        .globl  run_try, run_try_failed
        .hidden run_try, run_try_failed
        .type   run_try, @function
        .p2align 4
run_try:
        .cfi_startproc
        _CET_ENDBR
        pushq   %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        pushq   %rbp
        .cfi_def_cfa_offset 24
        .cfi_offset %rbp, -24
        pushq   %r12
        .cfi_def_cfa_offset 32
        .cfi_offset %r12, -32
        pushq   %r13
        .cfi_def_cfa_offset 40
        .cfi_offset %r13, -40
        pushq   %r14
        .cfi_def_cfa_offset 48
        .cfi_offset %r14, -48
        pushq   %r15
        .cfi_def_cfa_offset 56
        .cfi_offset %r15, -56
        movq    %rsp, %rax
        andq    $-BLOCK_SIZE, %rax
        movq    %rsp, THREAD_TRIES(%rax)
        movq    %rdi, %rax
        movq    %rsi, %rdi
        subq    $8, %rsp
        .cfi_def_cfa_offset 64
        call    *%rax
        addq    $8, %rsp
        .cfi_def_cfa_offset 56
        movl    $1, %eax
        jmp     1f
run_try_failed:
        xorl    %eax, %eax
1:      movq    %rsp, %rcx
        andq    $-BLOCK_SIZE, %rcx
        movq    $0, THREAD_TRIES(%rcx)
        popq    %r15
        .cfi_def_cfa_offset 48
        popq    %r14
        .cfi_def_cfa_offset 40
        popq    %r13
        .cfi_def_cfa_offset 32
        popq    %r12
        .cfi_def_cfa_offset 24
        popq    %rbp
        .cfi_def_cfa_offset 16
        popq    %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   run_try, . - run_try

        .section .note.GNU-stack, "", @progbits
