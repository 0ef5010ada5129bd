/* pad_x86_64.S: the exits from pads (pad.h), all alike. All registers except the instruction pointer are already the
 * program's, and neither instruction changes a flag.
 *
 * Unwinding: the stack pointer is the program's. Through a word, the instruction is in it: from the exit's beginning,
 * rip & -32, the word is 17 bytes and the jump's distance away, which stands at byte 13.
 */
#if !defined(__x86_64__)
#error "pad_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#include "pad.h"

.macro RELEASE pad, start
        movl    $0, C(pad_states) + 4 * \pad(%rip)
        .if     . - \start - PAD_EXIT_JUMP
        .error  "pad.h says that the jump stands elsewhere"
        .endif
.endm

.macro CFI_PROGRAMS_REGISTERS
        .irp    register, %rax, %rbx, %rcx, %rdx, %rsi, %rdi, %rbp, %r8, %r9, %r10, %r11, %r12, %r13, %r14, %r15
        .cfi_same_value \register
        .endr
.endm

        SECTION_TEXT(pad_exits)
        .p2align 6
FUNCTION(pad_rcx_exits)
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 0
        .cfi_register %rip, %rcx
        CFI_PROGRAMS_REGISTERS
        .set    number, 0
        .rept   PAD_COUNT
        RELEASE number, (C(pad_rcx_exits) + PAD_RCX_EXIT_SIZE * number)
        notrack jmp *%rcx
        .fill   C(pad_rcx_exits) + PAD_RCX_EXIT_SIZE * (number + 1) - ., 1, 0xcc
        .set    number, number + 1
        .endr
        .cfi_endproc
        END(pad_rcx_exits)

        .p2align 6
FUNCTION(pad_word_exits)
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 0
        /* DW_CFA_expression for rip, 19 bytes. */
        .cfi_escape 0x10, 16, 19
        .cfi_escape 0x80, 0, 0x09, 0xe0, 0x1a                   /* breg16 0, const1s -32, and */
        .cfi_escape 0x12, 0x23, 13, 0x94, 4                     /* dup, plus 13, deref_size 4 */
        .cfi_escape 0x08, 32, 0x24, 0x08, 32, 0x26              /* const1u 32, shl, const1u 32, shra */
        .cfi_escape 0x22, 0x23, 17                              /* plus, plus 17 */
        CFI_PROGRAMS_REGISTERS
        .set    number, 0
        .rept   PAD_COUNT
        RELEASE number, (C(pad_word_exits) + PAD_WORD_EXIT_SIZE * number)
        notrack jmp *C(pad_targets) + 8 * number(%rip)
        .fill   C(pad_word_exits) + PAD_WORD_EXIT_SIZE * (number + 1) - ., 1, 0xcc
        .set    number, number + 1
        .endr
        .cfi_endproc
        END(pad_word_exits)

        SECTION_BSS(pad_states)
        .p2align 6
OBJECT(pad_states)
        .zero   4 * PAD_COUNT
        END(pad_states)
        .p2align 6
OBJECT(pad_targets)
        .zero   8 * PAD_COUNT
        END(pad_targets)

        END_OF_FILE
