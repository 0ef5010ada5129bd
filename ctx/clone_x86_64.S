/* clone_x86_64.S: the one system call that returns twice, and the one that does not return.
 *
 * clone_go: the parent's stack holds one saved register; the child, which may have another stack, looks at r12 alone:
 *
 *      return address
 *      r12                 <- rsp at the call; on the child where the call says
 */
#include <cet.h>

#include "layout.h"

#define SYS_RT_SIGRETURN 15

/* clone_go (rdi call) */
        .section .text.clone_go, "ax", @progbits
        .globl  clone_go
        .hidden clone_go
        .type   clone_go, @function
        .p2align 4
clone_go:
        .cfi_startproc
        _CET_ENDBR
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        movq    %rdi, %r9
        movq    CALL_CHILD(%r9), %r12
        movq    CALL_NUMBER(%r9), %rax
        movq    CALL_FIRST(%r9), %rdi
        movq    CALL_SECOND(%r9), %rsi
        movq    CALL_THIRD(%r9), %rdx
        movq    CALL_FOURTH(%r9), %r10
        movq    CALL_FIFTH(%r9), %r8
        syscall
        testq   %rax, %rax
        jz      1f
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        ret
        /* The child: its first frame. */
1:      .cfi_undefined %rip
        xorl    %ebp, %ebp
        andq    $-16, %rsp
        movq    %r12, %rdi
        call    clone_begin
        ud2
        .cfi_endproc
        .size   clone_go, . - clone_go

/* clone_return (rdi ucontext): the kernel takes a frame to begin one word below the stack pointer. */
        .section .text.clone_return, "ax", @progbits
        .globl  clone_return
        .hidden clone_return
        .type   clone_return, @function
        .p2align 4
clone_return:
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        movq    %rdi, %rsp
        movl    $SYS_RT_SIGRETURN, %eax
        syscall
        ud2
        .cfi_endproc
        .size   clone_return, . - clone_return

        .section .note.GNU-stack, "", @progbits
