/* asm_calls_i386.h: see platform/asm_calls.h.
 *
 * SOURCES: syscall(2): the number in EAX, the arguments in EBX, ECX, EDX, ESI and EDI; no other register changes. The
 * kernel's headers for user space, of which these are for assembly, too. */
#ifndef SEGUE_LINUX_ASM_CALLS_I386_H
#define SEGUE_LINUX_ASM_CALLS_I386_H

#if !defined(__linux__) || !defined(__i386__)
#error "asm_calls_i386.h is specific to Linux on i386"
#endif

#include <asm/errno.h>
#include <asm/unistd.h>

#define SYSTEM_NO_MEMORY ENOMEM
/* The kernel's sigset_t, and its struct sigaction. */
#define SIGNAL_MASK_SIZE 8
#define SIGNAL_ACTION_SIZE 20
/* Their header is not for assembly; platform/linux/handlers/action.c compares them. */
#define CALL_SIG_BLOCK 0
#define CALL_SIG_SETMASK 2

#if defined(__ASSEMBLER__)

.macro SYSTEM_CALL
        int     $0x80
.endm

.macro CALL_NUMBERED number
        movl    $\number, %eax
        SYSTEM_CALL
.endm

/* ebx: the signal. */
.macro SET_SIGNAL_ACTION address
        leal    \address, %ecx
        xorl    %edx, %edx
        movl    $SIGNAL_MASK_SIZE, %esi
        CALL_NUMBERED __NR_rt_sigaction
.endm

.macro CHANGE_SIGNAL_MASK how, address
        leal    \address, %ecx
        movl    $\how, %ebx
        xorl    %edx, %edx
        movl    $SIGNAL_MASK_SIZE, %esi
        CALL_NUMBERED __NR_rt_sigprocmask
.endm

.macro SET_SIGNAL_MASK address
        CHANGE_SIGNAL_MASK CALL_SIG_SETMASK, "\address"
.endm

.macro BLOCK_SIGNALS address
        CHANGE_SIGNAL_MASK CALL_SIG_BLOCK, "\address"
.endm

/* ebx: the process, ecx: its thread, edx: the signal, esi: its siginfo. */
.macro QUEUE_SIGNAL
        CALL_NUMBERED __NR_rt_tgsigqueueinfo
.endm

.macro GET_PROCESS_ID
        CALL_NUMBERED __NR_getpid
.endm

.macro GET_THREAD_ID
        CALL_NUMBERED __NR_gettid
.endm

/* As the kernel's own in the vDSO, whose bytes debuggers and unwinders know. esp: behind the return address. */
.macro RETURN_FROM_SIGNAL
        movl    $__NR_rt_sigreturn, %eax
        int     $0x80
.endm

#endif

#endif
