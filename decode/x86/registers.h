/* registers.h: the general registers, for assembly that loads or stores them all. */
#ifndef SEGUE_X86_REGISTERS_H
#define SEGUE_X86_REGISTERS_H

#if defined(__i386__)

/* As below; the upper halves stay as they are. */
.macro EACH_REGISTER_BUT_RDI action, base=0
        \action %eax, (\base + 0)
        \action %ebx, (\base + 8)
        \action %ecx, (\base + 16)
        \action %edx, (\base + 24)
        \action %esi, (\base + 32)
        \action %ebp, (\base + 48)
.endm

#elif defined(__x86_64__)

/* Each runs \action for general registers, with the register's offset in struct segue_regs (ctx/layout.c checks them)
 * plus \base: for all except RSP; and for all except RSP and one that may hold an address. */
.macro EACH_REGISTER action, base=0
        \action %rbx, (\base + 8)
        EACH_REGISTER_BUT_RBX \action, \base
.endm

.macro EACH_REGISTER_BUT_RBX action, base=0
        EACH_REGISTER_BUT_RBX_RDI \action, \base
        \action %rdi, (\base + 40)
.endm

.macro EACH_REGISTER_BUT_RDI action, base=0
        \action %rbx, (\base + 8)
        EACH_REGISTER_BUT_RBX_RDI \action, \base
.endm

.macro EACH_REGISTER_BUT_RBX_RDI action, base=0
        \action %rax, (\base + 0)
        \action %rcx, (\base + 16)
        \action %rdx, (\base + 24)
        \action %rsi, (\base + 32)
        \action %rbp, (\base + 48)
        \action %r8, (\base + 64)
        \action %r9, (\base + 72)
        \action %r10, (\base + 80)
        \action %r11, (\base + 88)
        \action %r12, (\base + 96)
        \action %r13, (\base + 104)
        \action %r14, (\base + 112)
        \action %r15, (\base + 120)
.endm

#else
#error "registers.h is specific to x86"
#endif

#endif
