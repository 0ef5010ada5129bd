/* context_i386.S: the first and last instructions of a context, and resuming one without saving another.
 *
 * A context's stack while its entry runs:
 *
 *      end of the stack (a multiple of 16)
 *      struct record                   <- ebp at bootstrap; the frame pointers end here
 *          +  8  context
 *          + 12  entry
 *      ~ padding to 16
 *      last argument
 *      ~
 *      first argument                  <- esp at bootstrap, a multiple of 16
 *      return address, inside context_bootstrap
 *
 * Unwinding: the caller of a context's first frame is at `caller` in struct segue_context:
 * ebp -> record -> context -> caller -> stack pointer (our CFA), frame pointer, instruction. Those are expressions in
 * DWARF's stack language (context_x86_64.S); here EBP is register 5, and EIP 8.
 *
 * .cfi_signal_frame: the two stacks may lie in any order, which gdb accepts only for signal frames.
 */
#if !defined(__i386__)
#error "context_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/frame/stack_bounds.h"

#define CALLER 0x75, RECORD_CONTEXT, 0x06, 0x23, CONTEXT_CALLER, 0x06
#define FXAM_EMPTY 0x4100
#define FXAM_BITS 0x4500

.macro CFI_CALLER
        .cfi_signal_frame
        /* DW_CFA_def_cfa_expression, 7 bytes */
        .cfi_escape 0x0f, 7, CALLER, 0x06
        /* DW_CFA_expression of ebp, 8 bytes; of eip, 8 bytes */
        .cfi_escape 0x10, 5, 8, CALLER, 0x23, CONTEXT_FRAME_POINTER
        .cfi_escape 0x10, 8, 8, CALLER, 0x23, CONTEXT_INSTRUCTION
        .cfi_undefined %ebx
        .cfi_undefined %esi
        .cfi_undefined %edi
.endm

        SECTION_TEXT(context_bootstrap)

/* context_bootstrap: ebp and esp as above. An exception that arrives here cannot go on: context_personality rejects
 * it. */
        .p2align 4
        .cfi_startproc
        PERSONALITY(context_personality)
        CFI_CALLER
        nop                             /* a caller's frame is looked up one byte before its return address */
LABEL_FUNCTION(context_bootstrap)
        _CET_ENDBR
        subl    $12, %esp
        pushl   RECORD_CONTEXT(%ebp)
        call    C(context_entered)
        addl    $16, %esp
        call    *RECORD_ENTRY(%ebp)
        movl    RECORD_CONTEXT(%ebp), %ecx
        movl    %eax, CONTEXT_RAX(%ecx)
        movl    %edx, CONTEXT_RDX(%ecx)
        movups  %xmm0, CONTEXT_XMM0(%ecx)
        /* What a function returns on the x87 stack, if anything. */
        fxam
        fnstsw  %ax
        andl    $FXAM_BITS, %eax
        cmpl    $FXAM_EMPTY, %eax
        je      1f
        fstpt   CONTEXT_XMM1(%ecx)
1:      subl    $12, %esp
        pushl   %ecx
        call    C(context_left)
        pushl   %eax
        call    C(context_load)            /* does not return; a call, so that the frame it leaves is this one */
        ud2
        .cfi_endproc
        END(context_bootstrap)

/* context_load (to): the loading half of the swap. context_take (eax to): the same; touches only the stack that it
 * switches to. */
        SECTION_TEXT(context_load)
        .p2align 4
FUNCTION(context_load)
        .cfi_startproc
        _CET_ENDBR
        movl    4(%esp), %eax
LABEL_FUNCTION(context_take)
        _CET_ENDBR
        movl    %eax, %ecx
        testb   $CONTEXT_FIXED_CONTROL, CONTEXT_FLAGS(%ecx)
        jnz     1f
        fldcw   CONTEXT_X87_CONTROL(%ecx)
        ldmxcsr CONTEXT_MXCSR(%ecx)
1:      TAKE_STACK_BOUNDS CONTEXT_BOUNDS, %ecx, %eax
        movl    CONTEXT_INSTRUCTION(%ecx), %eax
        movl    CONTEXT_FRAME_POINTER(%ecx), %edx
        movl    CONTEXT_STACK_POINTER(%ecx), %esp
        .cfi_def_cfa %esp, 0
        .cfi_register %eip, %eax
        .cfi_register %ebp, %edx
        .cfi_undefined %ebx
        .cfi_undefined %esi
        .cfi_undefined %edi
        movl    %edx, %ebp
        .cfi_same_value %ebp
        jmp     *%eax
        .cfi_endproc
        END(context_load)

/* context_orphan: the resume address of a context that must not resume. */
        SECTION_TEXT(context_orphan)
        .p2align 4
        .cfi_startproc
        .cfi_undefined %eip
        nop
LABEL_FUNCTION(context_orphan)
        _CET_ENDBR
        ud2
        .cfi_endproc
        END(context_orphan)

        END_OF_FILE
