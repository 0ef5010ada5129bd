/* guest_x86_64.S: guests' code, for guest.c. Each ends in a call of the guest's entry. */
#include "decode/x86/registers.h"
#include "platform/asm.h"

.macro NOTE register, place
        movq    \register, (C(guest_noted) + \place)(%rip)
.endm

        SECTION_DATA(guest_words)
        .p2align 6
OBJECT(guest_noted)
        .zero   192
        END(guest_noted)
OBJECT(guest_entry)
        .zero   8
        END(guest_entry)
OBJECT(guest_go_on)
        .zero   8
        END(guest_go_on)
OBJECT(guest_has_begun)
        .zero   8
        END(guest_has_begun)

        SECTION_TEXT(guest_code)

/* Notes all registers and flags, puts them back and calls. */
        .p2align 4
FUNCTION(guest_notes)
        EACH_REGISTER NOTE
        NOTE    %rsp, 56
        leaq    (C(guest_noted) + 144)(%rip), %rsp
        pushfq
        movq    (C(guest_noted) + 56)(%rip), %rsp
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_notes)

/* trapframe-rs's: pushes all registers, adds ten to each, and calls. */
        .p2align 4
FUNCTION(guest_dumps)
        pushq   %r15
        pushq   %r14
        pushq   %r13
        pushq   %r12
        pushq   %r11
        pushq   %r10
        pushq   %r9
        pushq   %r8
        pushq   %rsp
        pushq   %rbp
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rbx
        pushq   %rax
        .irp    register, %rax, %rbx, %rcx, %rdx, %rdi, %rsi, %rbp, %r8, %r9, %r10, %r11, %r12, %r13, %r14, %r15
        addq    $10, \register
        .endr
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_dumps)

/* Through GS: a word to RAX, and RAX to the next one. */
        .p2align 4
FUNCTION(guest_uses_gs)
        movq    %gs:16, %rax
        movq    %rax, %gs:24
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_uses_gs)

/* The same through FS, as code for Linux has it; twice. */
        .p2align 4
FUNCTION(guest_uses_fs)
        movl    $2, %ecx
1:
LABEL(guest_fs_load)
        movq    %fs:16, %rax
LABEL(guest_fs_store)
        movq    %rax, %fs:24(, %rcx, 8)
        decl    %ecx
        jnz     1b
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_uses_fs)

/* RBX: memory. */
        .p2align 4
FUNCTION(guest_reads)
LABEL(guest_load)
        movq    (%rbx), %rax
        movdqu  16(%rbx), %xmm5
        lock    addl $3, 32(%rbx)
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_reads)

        .p2align 4
FUNCTION(guest_is_wrong)
        ud2
        END(guest_is_wrong)

/* EBX: a divisor. */
        .p2align 4
FUNCTION(guest_divides)
        xorl    %edx, %edx
LABEL(guest_division)
        divl    %ebx
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_divides)

        .p2align 4
FUNCTION(guest_traps)
        int3
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_traps)

/* Until it is stopped, or `guest_go_on` is set; sets `guest_has_begun`. */
        .p2align 4
FUNCTION(guest_spins)
1:      incq    %rax
        movq    $1, C(guest_has_begun)(%rip)
        cmpq    $0, C(guest_go_on)(%rip)
        je      1b
        call    *C(guest_entry)(%rip)
        ud2
        END(guest_spins)

        END_OF_FILE
