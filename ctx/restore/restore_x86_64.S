/* restore_x86_64.S: the direct restore: loads any register state at once, without the kernel.
 *
 * The restore image, struct landing, is on the stack in use (the handler's) or beyond the red zone of the stack that it
 * restores. It becomes the top of the stack, so that a signal delivered in between overwrites nothing that is needed:
 *
 *      rsp ->  rax rbx rcx rdx rsi rdi rbp r8 .. r15
 *        +120  rip cs rflags rsp ss      <- rsp at IRETQ, which loads all five at once, and writes nothing to
 *                                           the stack that it switches to
 *        +160  the shortcut that replaces IRETQ (shortcut.h), entered with rsp at rflags; 0 if the target has none
 *        +168  the handler's record
 *        +176  the kernel's frame; 0 if the signal mask stays as it is
 *        +184  the mask
 *
 * A handler on an alternate stack that has signals blocked has the image on the stack that it restores: the mask is set
 * there, so that no deferred signal finds the alternate stack in use.
 *
 * Unwinding: the caller is the restored code: each register is at its place in the image, by DW_OP_breg7 (0x77) and the
 * offset as two bytes of SLEB128.
 */
#if !defined(__x86_64__)
#error "restore_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/frame_cfi_x86_64.h"

.macro CFI_LANDING base
        /* DW_CFA_def_cfa_expression: the stack pointer that it leads to. */
        .cfi_escape 0x0f, 4, 0x77, ((LANDING_RSP - \base) & 0x7f) | 0x80, ((LANDING_RSP - \base) >> 7) & 0x7f, 0x06
        IS_AT   0, (LANDING_RAX - \base)
        IS_AT   1, (LANDING_RDX - \base)
        IS_AT   2, (LANDING_RCX - \base)
        IS_AT   3, (LANDING_RBX - \base)
        IS_AT   4, (LANDING_RSI - \base)
        IS_AT   5, (LANDING_RDI - \base)
        IS_AT   6, (LANDING_RBP - \base)
        IS_AT   8, (LANDING_R8 - \base)
        IS_AT   9, (LANDING_R9 - \base)
        IS_AT   10, (LANDING_R10 - \base)
        IS_AT   11, (LANDING_R11 - \base)
        IS_AT   12, (LANDING_R12 - \base)
        IS_AT   13, (LANDING_R13 - \base)
        IS_AT   14, (LANDING_R14 - \base)
        IS_AT   15, (LANDING_R15 - \base)
        IS_AT   16, (LANDING_RIP - \base)
.endm

/* The general registers are loaded; what is below rsp may be overwritten by a signal, beyond the red zone. */
.macro CFI_LOADED
        .cfi_escape 0x0f, 3, 0x77, LANDING_RSP - LANDING_RFLAGS, 0x06
        .cfi_escape 0x10, 16, 2, 0x77, (LANDING_RIP - LANDING_RFLAGS) & 0x7f
        .irp    register, %rax, %rbx, %rcx, %rdx, %rsi, %rdi, %rbp, %r8, %r9, %r10, %r11, %r12, %r13, %r14, %r15
        .cfi_same_value \register
        .endr
.endm

/* The number of the thread's returns that are covered. More would cost time: the predictor has 32 entries, or 16. */
#define RETURNS_CAPTURED 16

/* landing_go (rdi landing, rsi area, rdx features): without features there is no XSAVE, and the area is FXSAVE's. */
        SECTION_HOT(landing_go)
        .p2align 4
FUNCTION(landing_go)
        .cfi_startproc
        _CET_ENDBR
        /* This handler's calls never return, so the processor predicts the handler's return addresses for the thread's
         * next RETs. A mispredicted path through the handler's code costs some 1,200 cycles, once per fault
         * (docs/facts.md). So the predictions are redirected to places that wait until the processor has resolved
         * the RET. */
        .rept RETURNS_CAPTURED
        call    2f
1:      pause
        lfence
        jmp     1b
2:      .cfi_adjust_cfa_offset 8
        leaq    8(%rsp), %rsp
        .cfi_adjust_cfa_offset -8
        .endr
        movl    %edx, %eax
        testq   %rdx, %rdx
        jz      1f
        shrq    $32, %rdx
        xrstor64 (%rsi)
        jmp     2f
1:      fxrstor64 (%rsi)
2:
        /* The record counts only as long as its stack is the one in use. */
        movq    LANDING_HANDLING(%rdi), %rcx
        testq   %rcx, %rcx
        jz      C(landing_off_list)
        movq    HANDLING_OUTER(%rcx), %rcx
        THREAD_LOCAL(handling_innermost, %rax)
        movq    %rcx, TLS_AT(%rax)
LABEL(landing_off_list)
        movq    %rdi, %rsp
        .cfi_endproc
        /* Only from here on is the caller's address that of an instruction, and not behind a call. */
        .cfi_startproc
        .cfi_signal_frame
        CFI_LANDING 0
LABEL(landing_forgotten)
        cmpq    $0, LANDING_FRAME(%rsp)
        je      2f
        SET_SIGNAL_MASK LANDING_MASK(%rsp)
        testq   %rax, %rax
        jnz     C(landing_by_return)
2:
LABEL(landing_mask_set)
        movq    LANDING_RAX(%rsp), %rax
        movq    LANDING_RBX(%rsp), %rbx
        movq    LANDING_RCX(%rsp), %rcx
        movq    LANDING_RDX(%rsp), %rdx
        movq    LANDING_RSI(%rsp), %rsi
        movq    LANDING_RDI(%rsp), %rdi
        movq    LANDING_RBP(%rsp), %rbp
        movq    LANDING_R8(%rsp), %r8
        movq    LANDING_R9(%rsp), %r9
        movq    LANDING_R10(%rsp), %r10
        movq    LANDING_R11(%rsp), %r11
        movq    LANDING_R12(%rsp), %r12
        movq    LANDING_R13(%rsp), %r13
        movq    LANDING_R14(%rsp), %r14
        movq    LANDING_R15(%rsp), %r15
        cmpq    $0, LANDING_SHORTCUT(%rsp)
        jne     1f
        .cfi_remember_state
        leaq    LANDING_RIP(%rsp), %rsp
        CFI_LANDING LANDING_RIP
LABEL(landing_last)
        iretq
        .cfi_restore_state
1:      leaq    LANDING_RFLAGS(%rsp), %rsp
        CFI_LOADED
LABEL(landing_shortcut)
        notrack jmp *(LANDING_SHORTCUT - LANDING_RFLAGS)(%rsp)
        .cfi_endproc
        END(landing_go)

/* The mask was refused, by a filter that was set after the library was installed: all is in the kernel's frame, too. */
FUNCTION(landing_by_return)
        .cfi_startproc
        .cfi_signal_frame
        CFI_LANDING 0
        movq    LANDING_FRAME(%rsp), %rsp
        .cfi_endproc
        .cfi_startproc
        .cfi_signal_frame
        CFI_UCONTEXT 0
LABEL(landing_refused)
        RETURN_FROM_SIGNAL
LABEL(landing_refused_end)
        .cfi_endproc
        END(landing_by_return)

        END_OF_FILE
