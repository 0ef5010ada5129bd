/* compat_x86_64.S: the way into 32-bit code, and the way back out of it (see compat.h). Neither needs a register. */
#include <cet.h>

        .text

/* The oracle jumps here as to a slot. */
        .globl  compat_enter
        .hidden compat_enter
        .type   compat_enter, @function
compat_enter:
        _CET_ENDBR
        ljmpl   *compat_target(%rip)
        .size   compat_enter, . - compat_enter

/* Copied to where 32 bits lead: in 64-bit mode again. The address that it jumps to comes behind it. */
        .globl  compat_exit, compat_exit_end
        .hidden compat_exit, compat_exit_end
compat_exit:
        jmp     *compat_exit_end(%rip)
compat_exit_end:

        .section .note.GNU-stack, "", @progbits
