/* asm_calls_x86_64.h: see platform/asm_calls.h.
 *
 * SOURCES: syscall(2): the number in RAX, the arguments in RDI, RSI, RDX, R10, R8 and R9; RCX and R11 are lost. The
 * kernel's headers for user space, of which these are for assembly, too. */
#ifndef SEGUE_LINUX_ASM_CALLS_X86_64_H
#define SEGUE_LINUX_ASM_CALLS_X86_64_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "asm_calls_x86_64.h is specific to Linux on x86-64"
#endif

#include <asm/errno.h>
#include <asm/prctl.h>
#include <asm/unistd.h>

#define SYSTEM_NO_MEMORY ENOMEM
/* The kernel's sigset_t, and its struct sigaction. */
#define SIGNAL_MASK_SIZE 8
#define SIGNAL_ACTION_SIZE 32
/* Their header is not for assembly; platform/linux/handlers/action.c compares them. */
#define CALL_SIG_BLOCK 0
#define CALL_SIG_SETMASK 2

#if defined(__ASSEMBLER__)

.macro SYSTEM_CALL
        syscall
.endm

.macro CALL_NUMBERED number
        movl    $\number, %eax
        SYSTEM_CALL
.endm

/* As the C library's, whose bytes debuggers and unwinders know. */
.macro RETURN_FROM_SIGNAL
        movq    $__NR_rt_sigreturn, %rax
        SYSTEM_CALL
.endm

.macro CHANGE_SIGNAL_MASK how, address
        leaq    \address, %rsi
        movl    $\how, %edi
        xorl    %edx, %edx
        movl    $SIGNAL_MASK_SIZE, %r10d
        CALL_NUMBERED __NR_rt_sigprocmask
.endm

.macro SET_SIGNAL_MASK address
        CHANGE_SIGNAL_MASK CALL_SIG_SETMASK, "\address"
.endm

.macro BLOCK_SIGNALS address
        CHANGE_SIGNAL_MASK CALL_SIG_BLOCK, "\address"
.endm

.macro SET_ALTERNATE_STACK
        xorl    %esi, %esi
        CALL_NUMBERED __NR_sigaltstack
.endm

.macro SET_SIGNAL_ACTION address
        leaq    \address, %rsi
        xorl    %edx, %edx
        movl    $SIGNAL_MASK_SIZE, %r10d
        CALL_NUMBERED __NR_rt_sigaction
.endm

.macro QUEUE_SIGNAL
        CALL_NUMBERED __NR_rt_tgsigqueueinfo
.endm

.macro GET_PROCESS_ID
        CALL_NUMBERED __NR_getpid
.endm

.macro GET_THREAD_ID
        CALL_NUMBERED __NR_gettid
.endm

.macro GET_BASE code, address
        movl    $\code, %edi
        leaq    \address, %rsi
        CALL_NUMBERED __NR_arch_prctl
.endm

.macro SET_BASE code, base
        movl    $\code, %edi
        movq    \base, %rsi
        CALL_NUMBERED __NR_arch_prctl
.endm

.macro GET_FS_BASE address, noted
        GET_BASE ARCH_GET_FS, "\address"
.endm

.macro GET_GS_BASE address, noted
        GET_BASE ARCH_GET_GS, "\address"
.endm

.macro SET_FS_BASE base
        SET_BASE ARCH_SET_FS, "\base"
.endm

.macro SET_GS_BASE base
        SET_BASE ARCH_SET_GS, "\base"
.endm

#endif

#endif
