/* try_win64_x86_64.S: as try_x86_64.S, for the calling convention of Windows, which has more callee-saved registers.
 *
 *      struct segue_trial      also rdi rsi, and xmm6 to xmm15
 *
 * SOURCES: Microsoft, "x64 calling convention" (callee-saved registers), "x64 exception handling" (leaf functions). */
#if !defined(__x86_64__)
#error "try_win64_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"

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
        movups  \register, \place(%rcx)
.endm
.macro LOAD_VECTOR register, place
        movups  \place(%rdi), \register
.endm

/* segue_try (rcx trial): a leaf function: nothing is pushed. */
        SECTION_TEXT(segue_try)
        .p2align 4
PUBLIC_FUNCTION(segue_try)
        movq    %rbx, TRIAL_RBX(%rcx)
        movq    %rbp, TRIAL_RBP(%rcx)
        movq    %r12, TRIAL_R12(%rcx)
        movq    %r13, TRIAL_R13(%rcx)
        movq    %r14, TRIAL_R14(%rcx)
        movq    %r15, TRIAL_R15(%rcx)
        movq    %rdi, TRIAL_RDI(%rcx)
        movq    %rsi, TRIAL_RSI(%rcx)
        EACH_VECTOR SAVE_VECTOR
        leaq    8(%rsp), %rax
        movq    %rax, TRIAL_RSP(%rcx)
        movq    (%rsp), %rax
        movq    %rax, TRIAL_RIP(%rcx)
        stmxcsr TRIAL_MXCSR(%rcx)
        fnstcw  TRIAL_X87_CONTROL(%rcx)
        THREAD_LOCAL(trial_innermost, %rax)
        movq    TLS_AT(%rax), %rdx
        movq    %rdx, TRIAL_OUTER(%rcx)
        movq    %rcx, TLS_AT(%rax)
        xorl    %eax, %eax
        ret
        END(segue_try)

/* trial_back (rdi trial): where the thread continues after a handler. The stack may be exhausted: it is not used before
 * the block's own stack pointer is restored. */
        SECTION_TEXT(trial_back)
        .p2align 4
FUNCTION(trial_back)
        fldcw   TRIAL_X87_CONTROL(%rdi)
        ldmxcsr TRIAL_MXCSR(%rdi)
        EACH_VECTOR LOAD_VECTOR
        movq    TRIAL_RBX(%rdi), %rbx
        movq    TRIAL_RBP(%rdi), %rbp
        movq    TRIAL_R12(%rdi), %r12
        movq    TRIAL_R13(%rdi), %r13
        movq    TRIAL_R14(%rdi), %r14
        movq    TRIAL_R15(%rdi), %r15
        movq    TRIAL_RSP(%rdi), %rsp
        movq    TRIAL_RSI(%rdi), %rsi
        movq    TRIAL_RIP(%rdi), %rdx
        movq    TRIAL_RDI(%rdi), %rdi
        movl    $1, %eax
        jmp     *%rdx
        END(trial_back)

        END_OF_FILE
