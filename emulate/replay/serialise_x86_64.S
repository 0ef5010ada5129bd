/* serialise_x86_64.S: the processor fetches what follows anew. */
#if !defined(__x86_64__)
#error "serialise_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#define NESTED_TASK_BIT 14

        .text
/* void replay_serialise(void): IRETQ to the next instruction. Of the serialising instructions that a program may
 * execute it is the one that a virtual machine does not intercept. It refuses the nested-task flag, and loads it: a
 * handler has that of its thread, and no way back puts it in force again. */
        .p2align 4
FUNCTION(replay_serialise)
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
        END(replay_serialise)

        END_OF_FILE
