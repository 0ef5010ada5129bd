/* serialise_x86_64.S: makes the processor fetch the following instructions again. */
#if !defined(__x86_64__)
#error "serialise_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#define NESTED_TASK_BIT 14

        .text
/* void platform_return_here(void): IRETQ to the next instruction. It is the only serialising instruction for programs
 * that a virtual machine does not intercept. IRETQ faults with the nested-task flag set, and loads it: a handler runs
 * with its thread's flag, and no return path sets it again. */
        .p2align 4
FUNCTION(platform_return_here)
        .cfi_startproc
        _CET_ENDBR
        movq    %rsp, %rax
        .cfi_def_cfa_register %rax
        pushfq
        movq    (%rsp), %rdx
        btrq    $NESTED_TASK_BIT, (%rsp)
        popfq
        movl    %ss, %ecx
        pushq   %rcx
        pushq   %rax
        pushq   %rdx
        movl    %cs, %ecx
        pushq   %rcx
        leaq    1f(%rip), %rcx
        pushq   %rcx
        iretq
1:
        .cfi_def_cfa_register %rsp
        ret
        .cfi_endproc
        END(platform_return_here)

        END_OF_FILE
