/* classes_x86_64.S: one faulting instruction of each class that the library steps (see classes.h), in the order of enum
 * class_number.
 *
 *      rdi     address
 */
#include <cet.h>

.macro BEGIN instruction:vararg
        .text
        .p2align 4
1:      .cfi_startproc
        _CET_ENDBR
2:      \instruction
3:
.endm
.macro END
        ret
        .cfi_endproc
        .section .data.rel.ro.classes, "aw"
        .quad   1b
        .section .rodata.lengths, "a"
        .byte   3b - 2b
.endm
.macro CLASS instruction:vararg
        BEGIN   \instruction
        END
.endm

        .section .data.rel.ro.classes, "aw"
        .p2align 3
        .globl  class_functions
class_functions:
        .section .rodata.lengths, "a"
        .globl  class_lengths
class_lengths:

        CLASS   movq (%rdi), %rax
        CLASS   movq %rax, (%rdi)
        CLASS   addq (%rdi), %rax
        CLASS   addq %rax, (%rdi)
        CLASS   lock addq %rax, (%rdi)
        CLASS   movaps (%rdi), %xmm0
        CLASS   addps (%rdi), %xmm0
        CLASS   vmovdqa (%rdi), %ymm0
        CLASS   vaddps (%rdi), %ymm0, %ymm0
        CLASS   vmovdqa64 (%rdi), %zmm0
        CLASS   vpaddd (%rdi), %zmm0, %zmm0{%k1}{z}
        /* A register stack that is full would cost more than the load. */
        BEGIN   flds (%rdi)
        ffree   %st
        fincstp
        END
        CLASS   cmpl $1, (%rdi)
        CLASS   scasq

        .section .note.GNU-stack, "", @progbits
