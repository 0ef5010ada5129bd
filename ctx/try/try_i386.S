/* try_i386.S: enters a block that may fault, and returns to its beginning after a fault.
 *
 * segue_try saves the callee-saved state, as it is after the return:
 *
 *      struct segue_trial      ebx ebp esi edi, esp after the return, eip: the return address
 *                              MXCSR, x87 control word, and the outer recovery point
 *                              on Windows also the chain of exception handlers
 */
#if !defined(__i386__)
#error "try_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/frame/stack_bounds.h"

#define TRIAL_ESI TRIAL_R12
#define TRIAL_EDI TRIAL_R13

/* segue_try (trial): the innermost recovery point is trial_innermost, in initial-exec thread-local storage. */
        SECTION_TEXT(segue_try)
        .p2align 4
PUBLIC_FUNCTION(segue_try)
        .cfi_startproc
        _CET_ENDBR
        movl    4(%esp), %ecx
        movl    %ebx, TRIAL_RBX(%ecx)
        movl    %ebp, TRIAL_RBP(%ecx)
        movl    %esi, TRIAL_ESI(%ecx)
        movl    %edi, TRIAL_EDI(%ecx)
        leal    4(%esp), %eax
        movl    %eax, TRIAL_RSP(%ecx)
        movl    (%esp), %eax
        movl    %eax, TRIAL_RIP(%ecx)
        KEEP_HANDLERS TRIAL_HANDLERS, %ecx, %eax
        stmxcsr TRIAL_MXCSR(%ecx)
        fnstcw  TRIAL_X87_CONTROL(%ecx)
        THREAD_LOCAL(trial_innermost, %eax)
        movl    TLS_AT(%eax), %edx
        movl    %edx, TRIAL_OUTER(%ecx)
        movl    %ecx, TLS_AT(%eax)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(segue_try)

/* trial_back (eax trial): the target of a handler's return. The stack may be exhausted: it is not used before the
 * block's own stack pointer is restored. */
        SECTION_TEXT(trial_back)
        .p2align 4
FUNCTION(trial_back)
        .cfi_startproc
        _CET_ENDBR
        movl    %eax, %ecx
        /* The caller is the block's beginning. DW_CFA_def_cfa_expression, then DW_CFA_expression for each register:
         * DW_OP_breg1 (ecx) and the offset, which fits one byte of SLEB128 below 64. */
        .cfi_escape 0x0f, 3, 0x71, TRIAL_RSP, 0x06
        .cfi_escape 0x10, 3, 2, 0x71, TRIAL_RBX
        .cfi_escape 0x10, 5, 2, 0x71, TRIAL_RBP
        .cfi_escape 0x10, 6, 2, 0x71, TRIAL_ESI
        .cfi_escape 0x10, 7, 2, 0x71, TRIAL_EDI
        .cfi_escape 0x10, 8, 2, 0x71, TRIAL_RIP
        TAKE_HANDLERS TRIAL_HANDLERS, %ecx, %eax
        fldcw   TRIAL_X87_CONTROL(%ecx)
        ldmxcsr TRIAL_MXCSR(%ecx)
        movl    TRIAL_RBX(%ecx), %ebx
        movl    TRIAL_RBP(%ecx), %ebp
        movl    TRIAL_ESI(%ecx), %esi
        movl    TRIAL_EDI(%ecx), %edi
        movl    TRIAL_RSP(%ecx), %esp
        movl    $1, %eax
        jmp     *TRIAL_RIP(%ecx)
        .cfi_endproc
        END(trial_back)

        END_OF_FILE
