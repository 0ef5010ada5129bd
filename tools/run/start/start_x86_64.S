/* start_x86_64.S: where the kernel enters the host.
 *
 *      rsp     number of arguments, arguments, environment, auxiliary vector; a multiple of sixteen */
#include <cet.h>

        .section .text._start, "ax", @progbits
        .globl  _start
        .hidden _start
        .type   _start, @function
_start:
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        xorl    %ebp, %ebp
        movq    %rsp, %rdi
        call    start_host
        ud2
        .cfi_endproc
        .size   _start, . - _start

        .section .note.GNU-stack, "", @progbits
