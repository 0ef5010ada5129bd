/* capture_x86_64.S: the calling thread's registers, stored before anything else has used them.
 *
 * SOURCES: Intel SDM volume 1, 13.7 (XSAVE leaves all of the header but XSTATE_BV as it is). */
#include <cet.h>

#include "ctx/layout.h"
#include "ctx/state/registers_x86_64.h"
#include "decode/x86/xsave.h"

#define INVALID 2

.macro STORE register, place
        movq    \register, \place(%rdi)
.endm

/* segue_mutator_capture (rdi context, rsi area, rdx size): the context begins with a struct segue_regs. */
        .section .text.segue_mutator_capture, "ax", @progbits
        .globl  segue_mutator_capture
        .type   segue_mutator_capture, @function
        .p2align 4
segue_mutator_capture:
        .cfi_startproc
        _CET_ENDBR
        testq   %rdi, %rdi
        jz      3f
        EACH_REGISTER STORE
        leaq    8(%rsp), %rax
        movq    %rax, GATE_RSP(%rdi)
        movq    (%rsp), %rax
        movq    %rax, GATE_RIP(%rdi)
        pushfq
        .cfi_adjust_cfa_offset 8
        popq    GATE_RFLAGS(%rdi)
        .cfi_adjust_cfa_offset -8

        testq   %rsi, %rsi
        jz      2f
        testq   $63, %rsi
        jnz     3f
        movq    capture_area_size(%rip), %rax
        testq   %rax, %rax
        jz      3f
        cmpq    %rax, %rdx
        jb      3f
        xorl    %eax, %eax
        movl    $8, %ecx
        cmpq    $XSAVE_LEGACY_SIZE, capture_area_size(%rip)
        je      4f
1:      movq    %rax, XSAVE_XSTATE_BV - 8(%rsi, %rcx, 8)
        decl    %ecx
        jnz     1b
        movl    capture_features(%rip), %eax
        movl    4 + capture_features(%rip), %edx
        xsave64 (%rsi)
2:      jmp     capture_finish
        /* A processor without XSAVE: the area ends where a header would begin. */
4:      fxsave64 (%rsi)
        jmp     capture_finish
3:      movl    $INVALID, %eax
        ret
        .cfi_endproc
        .size   segue_mutator_capture, . - segue_mutator_capture

        .section .bss.capture_area_size, "aw", @nobits
        .globl  capture_area_size, capture_features
        .hidden capture_area_size, capture_features
        .p2align 3
capture_area_size:
        .zero   8
capture_features:
        .zero   8

        .section .note.GNU-stack, "", @progbits
