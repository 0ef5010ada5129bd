/* switch_i386.S: the swap by the calling convention of Windows for i386. The loading half is in context_i386.S.
 *
 * A suspended context's stack:
 *
 *      to
 *      from
 *      return address of context_switch
 *      ebp ebx esi edi             <- its stack pointer
 *
 * SOURCES: Microsoft, "Argument Passing and Naming Conventions" (__cdecl; EBX, EBP, ESI and EDI are callee-saved). */
#if !defined(__i386__)
#error "switch_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/frame/stack_bounds.h"

/* context_switch (from, to) */
        SECTION_TEXT(context_switch)
        .p2align 4
FUNCTION(context_switch)
        .cfi_startproc
        movl    4(%esp), %ecx
        movl    8(%esp), %edx
        KEEP_CALLEE_SAVED
        testb   $CONTEXT_FIXED_CONTROL, CONTEXT_FLAGS(%ecx)
        jnz     1f
        fnstcw  CONTEXT_X87_CONTROL(%ecx)
        stmxcsr CONTEXT_MXCSR(%ecx)
1:      movl    %esp, CONTEXT_STACK_POINTER(%ecx)
        movl    %ebp, CONTEXT_FRAME_POINTER(%ecx)
        movl    $LOCAL(resumed), CONTEXT_INSTRUCTION(%ecx)
        KEEP_STACK_BOUNDS CONTEXT_BOUNDS, %ecx, %eax
        movl    %ecx, CONTEXT_PARENT(%edx)
        cmpl    %edx, CONTEXT_CALLER(%ecx)
        je      2f
        movl    %ecx, CONTEXT_CALLER(%edx)
2:      movl    %edx, %eax
        jmp     C(context_take)
        /* The state of a context that continues: all registers but these are lost. */
LOCAL_LABEL(resumed)
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
        END(context_switch)

        END_OF_FILE
