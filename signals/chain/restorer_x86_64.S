/* restorer_x86_64.S: where handlers return to, their `ret` having taken pretcode off the kernel's frame:
 *
 *      rsp ->  ucontext, at a multiple of 16; general registers from offset 40 on
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h. gdb and libgcc would know restorer_plain by its bytes,
 * libunwind 1.6 does not: there is a table for both. */
#include <cet.h>

#define SYS_RT_SIGRETURN 15

/* DW_CFA_expression: `register` is at rsp + offset; DW_OP_breg7 (0x77), two bytes of SLEB128. */
.macro IS_AT register, offset
        .cfi_escape 0x10, \register, 3, 0x77, ((\offset) & 0x7f) | 0x80, ((\offset) >> 7) & 0x7f
.endm

.macro CFI_FRAME
        .cfi_signal_frame
        /* DW_CFA_def_cfa_expression: the interrupted stack pointer. */
        .cfi_escape 0x0f, 4, 0x77, (160 & 0x7f) | 0x80, 160 >> 7, 0x06
        IS_AT   8, 40
        IS_AT   9, 48
        IS_AT   10, 56
        IS_AT   11, 64
        IS_AT   12, 72
        IS_AT   13, 80
        IS_AT   14, 88
        IS_AT   15, 96
        IS_AT   5, 104
        IS_AT   4, 112
        IS_AT   6, 120
        IS_AT   3, 128
        IS_AT   1, 136
        IS_AT   0, 144
        IS_AT   2, 152
        IS_AT   16, 168
.endm

        .section .text.restorer_plain, "ax", @progbits
        .globl  restorer_plain
        .hidden restorer_plain
        .type   restorer_plain, @function
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        /* Unwinders look a return address up one byte before it. */
        nop
restorer_plain:
        movq    $SYS_RT_SIGRETURN, %rax
        syscall
        .cfi_endproc
        .size   restorer_plain, . - restorer_plain

        .section .text.restorer_of_relay, "ax", @progbits
        .globl  restorer_of_relay
        .hidden restorer_of_relay
        .type   restorer_of_relay, @function
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        nop
restorer_of_relay:
        movq    %rsp, %rdi
        call    restorer_return
        movl    $SYS_RT_SIGRETURN, %eax
        syscall
        .cfi_endproc
        .size   restorer_of_relay, . - restorer_of_relay

        .section .note.GNU-stack, "", @progbits
