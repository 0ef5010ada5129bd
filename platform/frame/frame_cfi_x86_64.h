/* frame_cfi_x86_64.h: for assembly: unwind information (CFI) for code whose stack pointer points to a kernel's signal
 * frame: the caller is the code that the signal interrupted.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h, include/uapi/asm-generic/ucontext.h (general registers from
 * offset 40 on); DWARF 5, 6.4.2 (expressions). */
#ifndef SEGUE_PLATFORM_FRAME_CFI_H
#define SEGUE_PLATFORM_FRAME_CFI_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_cfi_x86_64.h is specific to Linux on x86-64"
#endif

/* DW_CFA_expression: `register` is at rsp + offset; DW_OP_breg7 (0x77), two bytes of SLEB128. */
.macro IS_AT register, offset
        .cfi_escape 0x10, \register, 3, 0x77, ((\offset) & 0x7f) | 0x80, ((\offset) >> 7) & 0x7f
.endm

/* The ucontext is at rsp + base. */
.macro CFI_UCONTEXT base
        /* DW_CFA_def_cfa_expression: the interrupted stack pointer. */
        .cfi_escape 0x0f, 4, 0x77, (((\base) + 160) & 0x7f) | 0x80, (((\base) + 160) >> 7) & 0x7f, 0x06
        IS_AT   8, ((\base) + 40)
        IS_AT   9, ((\base) + 48)
        IS_AT   10, ((\base) + 56)
        IS_AT   11, ((\base) + 64)
        IS_AT   12, ((\base) + 72)
        IS_AT   13, ((\base) + 80)
        IS_AT   14, ((\base) + 88)
        IS_AT   15, ((\base) + 96)
        IS_AT   5, ((\base) + 104)
        IS_AT   4, ((\base) + 112)
        IS_AT   6, ((\base) + 120)
        IS_AT   3, ((\base) + 128)
        IS_AT   1, ((\base) + 136)
        IS_AT   0, ((\base) + 144)
        IS_AT   2, ((\base) + 152)
        IS_AT   16, ((\base) + 168)
.endm

#endif
