/* leaves_x86_64.S: hot policies, and what they do not keep. */
#include "platform/asm.h"

.macro POLICY name
        .p2align 4
FUNCTION(\name)
.endm
.macro ANSWER name
        xorl    %eax, %eax
        ret
        END(\name)
.endm

        .text
/* Leaves. */
POLICY  leaf_counts
        _CET_ENDBR
        addq    $1, (%rdi)
ANSWER  leaf_counts
POLICY  leaf_branches
        movq    (%rsi), %rax
        testb   $8, %al
        jnz     1f
        lock addq $1, (%rdi)
        jmp     2f
1:      addq    $1, 8(%rdi)
2:      xorl    %eax, %eax
        ret
        END(leaf_branches)
POLICY  leaf_waits
        movl    $1, (%rdi)
1:      pause
        cmpl    $0, 4(%rdi)
        je      1b
        movl    $0, (%rdi)
ANSWER  leaf_waits
POLICY  leaf_looks_after_a_jump
        testb   $1, (%rdi)
        jz      1f
        xorl    %eax, %eax
        ret
1:      movl    16(%rsi), %eax
ANSWER  leaf_looks_after_a_jump
POLICY  leaf_compares_its_event
        cmpq    %rsi, (%rdi)
ANSWER  leaf_compares_its_event
POLICY  leaf_of_three_loses
        movl    $-1, %ecx
        movq    16(%rsi), %rdx
        imulq   %rcx, %rdx
        addq    $1, (%rdi)
ANSWER  leaf_of_three_loses

/* Counts, and loses all that a function may. */
POLICY  other_loses
        addq    $1, (%rdi)
        .irp    register, rcx, rdx, rsi, rdi, r8, r9, r10, r11
        movq    $-1, %\register
        .endr
ANSWER  other_loses

/* No leaves. */
POLICY  other_keeps
        pushq   %rbx
        popq    %rbx
ANSWER  other_keeps
POLICY  other_calls
        call    leaf_counts
ANSWER  other_calls
POLICY  other_jumps
        leaq    leaf_counts(%rip), %rax
        jmp     *%rax
        END(other_jumps)
POLICY  other_loses_r8
        xorl    %r8d, %r8d
ANSWER  other_loses_r8
POLICY  other_loses_rsi
        movq    (%rsi), %rsi
ANSWER  other_loses_rsi
POLICY  other_loses_rbx_after_a_jump
        testl   %eax, %eax
        jz      1f
        xorl    %eax, %eax
        ret
1:      xorl    %ebx, %ebx
ANSWER  other_loses_rbx_after_a_jump
POLICY  other_copies
        lodsb
ANSWER  other_copies
POLICY  other_sets_direction
        std
        cld
ANSWER  other_sets_direction
POLICY  other_pairs
        cmpxchg16b 16(%rdi)
ANSWER  other_pairs
POLICY  other_traps
        int3
ANSWER  other_traps
POLICY  other_asks_system
        syscall
ANSWER  other_asks_system
POLICY  other_is_long
        .rept   64
        nop
        .endr
ANSWER  other_is_long

        END_OF_FILE
