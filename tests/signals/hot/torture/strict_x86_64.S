/* strict_x86_64.S: torture_strict, in which every register and flag is known at each instruction between
 * torture_strict_begin and torture_strict_end. work.c checks them there.
 *
 *      RDI  where it is    RSI, RCX  what is left    RBX  what was read    RBP  the sum of it
 *      every other register, and the flags: as set before torture_strict_begin */
#include "platform/asm.h"

        /* Where an instruction of the block begins. */
        .macro  boundary
        .pushsection .rodata.torture_boundaries, "a", @progbits
        .long   9f - torture_strict_begin
        .popsection
9:
        .endm

        SECTION_CONSTANT(torture_boundaries)
OBJECT(torture_boundaries)

        SECTION_TEXT(torture_strict)

/* From RDI on, RSI times 32 bytes: of each the first word is copied to the second and the fourth, and the sum of the
 * first words and of the third words' lowest bytes is returned. Six accesses each. */
FUNCTION(torture_strict)
        .cfi_startproc
        KEEP_CALLEE_SAVED
        xor     %ebp, %ebp
        xor     %ebx, %ebx
        mov     $0x0102030405060708, %r8
        lea     1(%r8), %r9
        lea     2(%r8), %r10
        lea     3(%r8), %r11
        lea     4(%r8), %r12
        lea     5(%r8), %r13
        lea     6(%r8), %r14
        lea     7(%r8), %r15
        lea     8(%r8), %rdx
        mov     %rsi, %rcx
        mov     $0x7fffffff, %eax
        add     $1, %eax
        stc
LABEL(torture_strict_begin)
1:      boundary
        mov     (%rdi), %rbx
        boundary
        mov     %rbx, 8(%rdi)
        boundary
        lea     (%rbp,%rbx), %rbp
        boundary
        movzbl  16(%rdi), %ebx
        boundary
        mov     %ebx, -8(%rsp)
        boundary
        lea     (%rbp,%rbx), %rbp
        boundary
        mov     -8(%rsp), %ebx
        boundary
        mov     %bl, 16(%rdi)
        boundary
        mov     (%rdi), %rbx
        boundary
        mov     %rbx, 24(%rdi)
        boundary
        lea     32(%rdi), %rdi
        boundary
        lea     -1(%rsi), %rsi
        boundary
        mov     %rsi, %rcx
        boundary
        jrcxz   2f
        boundary
        jmp     1b
LABEL(torture_strict_end)
2:      mov     %rbp, %rax
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
END(torture_strict)

        /* One access, then one at RSI, which faults: in one body. */
FUNCTION(torture_fault)
        mov     (%rdi), %rax
LABEL(torture_fault_at)
        mov     (%rsi), %rdx
        add     %rdx, %rax
        ret
END(torture_fault)

        /* RSI times three accesses by constant addresses. Returns what was read. */
FUNCTION(torture_constants)
        xor     %eax, %eax
1:      lock incq torture_page(%rip)
        xor     torture_page+8(%rip), %rax
        lock addl $2, torture_page+16(%rip)
        dec     %rsi
        jnz     1b
        ret
LABEL(torture_constants_end)
END(torture_constants)

        .section .rodata.torture_boundaries, "a", @progbits
OBJECT(torture_boundaries_end)
        .long   0

        END_OF_FILE
