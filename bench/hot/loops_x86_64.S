/* loops_x86_64.S: see loops.h. The functions are 64 bytes apart, so that a change of one touches no line of another.
 *
 *      rdi     address
 *      rsi     count; rdi, where the address is a constant
 */
#include <cet.h>

        .text

.macro FUNCTION name
        .p2align 6
        .globl  \name
        .type   \name, @function
\name:
        .cfi_startproc
        _CET_ENDBR
.endm

.macro END name
        ret
        .cfi_endproc
        .size   \name, . - \name
.endm

.macro LOAD name
        FUNCTION \name
1:      movq    (%rdi), %rax
        decq    %rsi
        jnz     1b
        END     \name
.endm

.macro CHASE name
        FUNCTION \name
1:      movq    (%rdi), %rdi
        decq    %rsi
        jnz     1b
        movq    %rdi, %rax
        END     \name
.endm

.macro CONSTANT name, page
        FUNCTION \name
1:      movq    \page(%rip), %rax
        decq    %rdi
        jnz     1b
        END     \name
.endm

        LOAD    load_native
        LOAD    load_hot
        CHASE   chase_native
        CHASE   chase_hot
        CONSTANT constant_native, loops_native_page
        CONSTANT constant_hot, loops_hot_page

        .bss
        .globl  loops_native_page, loops_hot_page
        .balign 4096
loops_native_page:
        .zero   4096
loops_hot_page:
        .zero   4096

        .section .note.GNU-stack, "", @progbits
