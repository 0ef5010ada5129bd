/* try_x86_64.S: enters a block that may fault, and returns to its beginning after a fault.
 *
 * segue_try saves the callee-saved state, as it is after the return:
 *
 *      struct segue_trial      rbx rbp r12 r13 r14 r15, rsp after the return, rip: the return address
 *                              MXCSR, x87 control word, and the outer recovery point
 *                              on Windows also rdi rsi, and xmm6 to xmm15
 *
 * SOURCES: System V ABI, AMD64 supplement, 3.2.1; Microsoft, "x64 calling convention" (callee-saved registers), "x64
 * exception handling" (leaf functions). */
#if !defined(__x86_64__)
#error "try_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"

#if defined(_WIN32)
.macro EACH_VECTOR do
        \do     %xmm6, TRIAL_VECTORS
        \do     %xmm7, TRIAL_VECTORS + 16
        \do     %xmm8, TRIAL_VECTORS + 32
        \do     %xmm9, TRIAL_VECTORS + 48
        \do     %xmm10, TRIAL_VECTORS + 64
        \do     %xmm11, TRIAL_VECTORS + 80
        \do     %xmm12, TRIAL_VECTORS + 96
        \do     %xmm13, TRIAL_VECTORS + 112
        \do     %xmm14, TRIAL_VECTORS + 128
        \do     %xmm15, TRIAL_VECTORS + 144
.endm
.macro SAVE_VECTOR register, place
        movups  \register, \place(ARG1)
.endm
.macro LOAD_VECTOR register, place
        movups  \place(%rdi), \register
.endm
.macro SAVE_MORE
        movq    %rdi, TRIAL_RDI(ARG1)
        movq    %rsi, TRIAL_RSI(ARG1)
        EACH_VECTOR SAVE_VECTOR
.endm
/* RDI, which holds the trial, comes last. */
.macro LOAD_MORE
        EACH_VECTOR LOAD_VECTOR
        movq    TRIAL_RSI(%rdi), %rsi
        movq    TRIAL_RDI(%rdi), %rdi
.endm
#else
.macro SAVE_MORE
.endm
.macro LOAD_MORE
.endm
#endif

/* segue_try (trial): a leaf function: nothing is pushed. The innermost recovery point is trial_innermost, in
 * initial-exec thread-local storage. */
        SECTION_TEXT(segue_try)
        .p2align 4
PUBLIC_FUNCTION(segue_try)
        .cfi_startproc
        _CET_ENDBR
        movq    %rbx, TRIAL_RBX(ARG1)
        movq    %rbp, TRIAL_RBP(ARG1)
        movq    %r12, TRIAL_R12(ARG1)
        movq    %r13, TRIAL_R13(ARG1)
        movq    %r14, TRIAL_R14(ARG1)
        movq    %r15, TRIAL_R15(ARG1)
        SAVE_MORE
        leaq    8(%rsp), %rax
        movq    %rax, TRIAL_RSP(ARG1)
        movq    (%rsp), %rax
        movq    %rax, TRIAL_RIP(ARG1)
        stmxcsr TRIAL_MXCSR(ARG1)
        fnstcw  TRIAL_X87_CONTROL(ARG1)
        THREAD_LOCAL(trial_innermost, %rax)
        movq    TLS_AT(%rax), %rdx
        movq    %rdx, TRIAL_OUTER(ARG1)
        movq    ARG1, TLS_AT(%rax)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(segue_try)

/* trial_back (rdi trial): the target of a handler's return. The stack may be exhausted: it is not used before the
 * block's own stack pointer is restored. */
        SECTION_TEXT(trial_back)
        .p2align 4
FUNCTION(trial_back)
        .cfi_startproc
        _CET_ENDBR
        /* The caller is the block's beginning. DW_CFA_def_cfa_expression, then DW_CFA_expression for each register:
         * DW_OP_breg5 (rdi) and the offset, which fits one byte of SLEB128 below 64. */
        .cfi_escape 0x0f, 3, 0x75, TRIAL_RSP, 0x06
        .cfi_escape 0x10, 3, 2, 0x75, TRIAL_RBX
        .cfi_escape 0x10, 6, 2, 0x75, TRIAL_RBP
        .cfi_escape 0x10, 12, 2, 0x75, TRIAL_R12
        .cfi_escape 0x10, 13, 2, 0x75, TRIAL_R13
        .cfi_escape 0x10, 14, 2, 0x75, TRIAL_R14
        .cfi_escape 0x10, 15, 2, 0x75, TRIAL_R15
        .cfi_escape 0x10, 16, 2, 0x75, TRIAL_RIP
        fldcw   TRIAL_X87_CONTROL(%rdi)
        ldmxcsr TRIAL_MXCSR(%rdi)
        movq    TRIAL_RBX(%rdi), %rbx
        movq    TRIAL_RBP(%rdi), %rbp
        movq    TRIAL_R12(%rdi), %r12
        movq    TRIAL_R13(%rdi), %r13
        movq    TRIAL_R14(%rdi), %r14
        movq    TRIAL_R15(%rdi), %r15
        movq    TRIAL_RSP(%rdi), %rsp
        movq    TRIAL_RIP(%rdi), %rdx
        .cfi_def_cfa %rsp, 0
        .cfi_register %rip, %rdx
        .cfi_same_value %rbx
        .cfi_same_value %rbp
        .cfi_same_value %r12
        .cfi_same_value %r13
        .cfi_same_value %r14
        .cfi_same_value %r15
        LOAD_MORE
        movl    $1, %eax
        jmp     *%rdx
        .cfi_endproc
        END(trial_back)

        END_OF_FILE
