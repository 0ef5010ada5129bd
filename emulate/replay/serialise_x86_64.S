/* serialise_x86_64.S: the processor fetches what follows anew. */
#include <cet.h>

#define NESTED_TASK_BIT 14

        .text
/* void replay_serialise(void): IRETQ to the next instruction. Of the serialising instructions that a program may
 * execute it is the one that a virtual machine does not intercept. It refuses the nested-task flag, and loads it: a
 * handler has that of its thread, and no way back puts it in force again. */
        .globl  replay_serialise
        .hidden replay_serialise
        .type   replay_serialise, @function
        .p2align 4
replay_serialise:
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
        .size   replay_serialise, . - replay_serialise

        .section .note.GNU-stack, "", @progbits
