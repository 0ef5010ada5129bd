/* serialise_i386.S: makes the processor fetch the following instructions again. */
#if !defined(__i386__)
#error "serialise_i386.S is specific to i386"
#endif

#include "platform/asm.h"

#define NESTED_TASK_BIT 14

        .text
/* void platform_return_here(void): IRET to the next instruction. It is the only serialising instruction for programs
 * that a virtual machine does not intercept. IRET faults with the nested-task flag set, and loads it: a handler runs
 * with its thread's flag, and no return path sets it again. */
        .p2align 4
FUNCTION(platform_return_here)
        .cfi_startproc
        _CET_ENDBR
        pushfl
        .cfi_adjust_cfa_offset 4
        pushfl
        .cfi_adjust_cfa_offset 4
        btrl    $NESTED_TASK_BIT, (%esp)
        popfl
        .cfi_adjust_cfa_offset -4
        movl    %cs, %ecx
        pushl   %ecx
        .cfi_adjust_cfa_offset 4
        call    1f
1:      .cfi_adjust_cfa_offset 4
        addl    $2f - 1b, (%esp)
        iretl
2:      .cfi_adjust_cfa_offset -12
        ret
        .cfi_endproc
        END(platform_return_here)

        END_OF_FILE
