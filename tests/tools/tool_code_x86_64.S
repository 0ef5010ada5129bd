/* tool_code_x86_64.S: code that the tests of the command have explained, linked to addresses that they know: .text at
 * 0x500000, .data at 0x600000. */
    .text
    .globl sample
    .type sample, @function
sample:
    movq %fs:0x10(%rbx,%rcx,8), %rax
    movl $1, counter(%rip)
    .byte 0x06 /* no instruction in 64-bit mode */
    movb (%eax), %cl
    ret
    .size sample, . - sample

    /* A label without type and size, as assembly often has them; the name holds a plus sign. */
    .globl "odd+1"
"odd+1":
    movw %dx, -2(%rbp)
    ret

    .globl _start
_start:
    call twin_caller
    ret

    .data
    .globl counter
    .type counter, @object
    .size counter, 4
counter:
    .long 0

    .bss
    .globl zeroed
    .type zeroed, @function
zeroed:
    .skip 16

    .section .note.GNU-stack, "", @progbits
