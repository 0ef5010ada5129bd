/* try_x86_64.S: enters a block that may fault, and returns to its beginning after a fault.
 *
 * segue_try saves the callee-saved state, as it is after the return:
 *
 *      struct segue_trial      rbx rbp r12 r13 r14 r15, rsp after the return, rip: the return address
 *                              MXCSR, x87 control word, and the outer recovery point
 */
#if !defined(__x86_64__)
#error "try_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"

/* segue_try (rdi trial): the innermost recovery point is trial_innermost, in initial-exec thread-local storage. */
        SECTION_TEXT(segue_try)
        .p2align 4
PUBLIC_FUNCTION(segue_try)
        .cfi_startproc
        _CET_ENDBR
        movq    %rbx, TRIAL_RBX(%rdi)
        movq    %rbp, TRIAL_RBP(%rdi)
        movq    %r12, TRIAL_R12(%rdi)
        movq    %r13, TRIAL_R13(%rdi)
        movq    %r14, TRIAL_R14(%rdi)
        movq    %r15, TRIAL_R15(%rdi)
        leaq    8(%rsp), %rax
        movq    %rax, TRIAL_RSP(%rdi)
        movq    (%rsp), %rax
        movq    %rax, TRIAL_RIP(%rdi)
        stmxcsr TRIAL_MXCSR(%rdi)
        fnstcw  TRIAL_X87_CONTROL(%rdi)
        THREAD_LOCAL(trial_innermost, %rax)
        movq    TLS_AT(%rax), %rdx
        movq    %rdx, TRIAL_OUTER(%rdi)
        movq    %rdi, TLS_AT(%rax)
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
        movl    $1, %eax
        jmp     *TRIAL_RIP(%rdi)
        .cfi_endproc
        END(trial_back)

        END_OF_FILE
