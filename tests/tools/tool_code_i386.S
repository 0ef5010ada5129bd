/* tool_code_i386.S: 32-bit code for the tests of the command, .text at 0x500000. */
    .text
    .globl _start
    .globl sample
    .type sample, @function
_start:
sample:
    movl 8(%ebp), %eax
    push %es /* no instruction in 64-bit mode */
    movl %gs:0x14, %ecx
    ret
    .size sample, . - sample

    .section .note.GNU-stack, "", @progbits
