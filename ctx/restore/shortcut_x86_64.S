/* shortcut_x86_64.S: the shortcuts, all alike:
 *
 *      +0      popfq                           rsp ->  rflags, rsp     of the landing; its rip is 16 bytes below
 *      +1      popq    %rsp                    rsp ->  rsp
 *      +2      jmp     *target(%rip)           everything is loaded; bytes 5 to 8 are the distance of the target's word
 *
 * Unwinding: one rule for all, selected by the instruction's offset in its shortcut. The stack pointer is
 * at rsp + 8, at rsp, in rsp; the instruction at rsp - 16, at rsp - 24, in the target's word.
 */
#if !defined(__x86_64__)
#error "shortcut_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#include "shortcut.h"

        SECTION_HOT(shortcut)
        .p2align 6
FUNCTION(shortcut_code)
        .cfi_startproc
        .cfi_signal_frame
        /* DW_CFA_def_cfa_expression, 29 bytes. */
        .cfi_escape 0x0f, 29
        .cfi_escape 0x80, 0, 0x3f, 0x1a, 0x12                   /*  0: breg16 0, lit15, and, dup */
        .cfi_escape 0x30 + SHORTCUT_FLAGS, 0x29, 0x28, 10, 0    /*  5: lit, eq, bra to 20 */
        .cfi_escape 0x30 + SHORTCUT_STACK, 0x29, 0x28, 11, 0    /* 10: lit, eq, bra to 26 */
        .cfi_escape 0x77, 0, 0x2f, 9, 0                         /* 15: breg7 0, skip to 29 */
        .cfi_escape 0x13, 0x77, 8, 0x2f, 2, 0                   /* 20: drop, breg7 8, skip to 28 */
        .cfi_escape 0x77, 0, 0x06                               /* 26: breg7 0; 28: deref */
        /* DW_CFA_expression for rip, 39 bytes. */
        .cfi_escape 0x10, 16, 39
        .cfi_escape 0x80, 0, 0x3f, 0x1a, 0x12                   /*  0: breg16 0, lit15, and, dup */
        .cfi_escape 0x30 + SHORTCUT_FLAGS, 0x29, 0x28, 21, 0    /*  5: lit, eq, bra to 31 */
        .cfi_escape 0x30 + SHORTCUT_STACK, 0x29, 0x28, 22, 0    /* 10: lit, eq, bra to 37 */
        .cfi_escape 0x80, 3, 0x94, 4                            /* 15: breg16 3, deref_size 4 */
        .cfi_escape 0x08, 32, 0x24, 0x08, 32, 0x26              /* 19: const1u 32, shl, const1u 32, shra */
        .cfi_escape 0x80, 7, 0x22, 0x2f, 8, 0                   /* 25: breg16 7, plus, skip to 39 */
        .cfi_escape 0x13, 0x77, -16 & 0x7f, 0x2f, 2, 0          /* 31: drop, breg7 -16, skip to 39 */
        .cfi_escape 0x77, -24 & 0x7f                            /* 37: breg7 -24 */
        .irp    register, %rax, %rbx, %rcx, %rdx, %rsi, %rdi, %rbp, %r8, %r9, %r10, %r11, %r12, %r13, %r14, %r15
        .cfi_same_value \register
        .endr
        .set    number, 0
        .rept   SHORTCUT_COUNT
        popfq
        .if     . - C(shortcut_code) - number * SHORTCUT_SIZE - SHORTCUT_STACK
        .error  "shortcut.h says that the stack pointer comes elsewhere"
        .endif
        popq    %rsp
        .if     . - C(shortcut_code) - number * SHORTCUT_SIZE - SHORTCUT_JUMP
        .error  "shortcut.h says that the jump stands elsewhere"
        .endif
        notrack jmp *C(shortcut_targets) + 8 * number(%rip)
        .fill   C(shortcut_code) + SHORTCUT_SIZE * (number + 1) - ., 1, 0xcc
        .set    number, number + 1
        .endr
        .cfi_endproc
        END(shortcut_code)

        SECTION_BSS(shortcut_targets)
        .p2align 6
OBJECT(shortcut_targets)
        .zero   8 * SHORTCUT_COUNT
        END(shortcut_targets)

        END_OF_FILE
