/* asm_calls_x86_64.h: see platform/asm_calls.h; of those, what guests need.
 *
 * A program cannot set the base of FS: it is 0. Setting that of GS is a call of the machine-dependent class. The
 * system does not say what it is: RDGSBASE is not allowed. The thread's number is not that of its port, of which each
 * question would make a right.
 *
 * SOURCES: XNU osfmk/mach/i386/syscall_sw.h (classes), osfmk/i386/machdep_call.c (3: thread_fast_set_cthread_self64),
 * bsd/kern/syscalls.master (372: thread_selfid); trapframe-rs, fncall.rs (the first, on macOS). */
#ifndef SEGUE_DARWIN_ASM_CALLS_X86_64_H
#define SEGUE_DARWIN_ASM_CALLS_X86_64_H

#if !defined(__APPLE__) || !defined(__x86_64__)
#error "asm_calls_x86_64.h is specific to macOS on x86-64"
#endif

/* In parentheses: behind a dollar sign a digit would be an argument of a macro. */
#define CALL_SET_GS_BASE (0x3000003)
#define CALL_THREAD_SELFID (0x2000174)

#if defined(__ASSEMBLER__)

.macro GET_THREAD_ID
        movl    $CALL_THREAD_SELFID, %eax
        syscall
.endm

.macro GET_FS_BASE address, noted
        movq    \noted, %rax
        movq    %rax, \address
.endm

.macro GET_GS_BASE address, noted
        movq    \noted, %rax
        movq    %rax, \address
.endm

.macro SET_FS_BASE base
.endm

.macro SET_GS_BASE base
        movq    \base, %rdi
        movl    $CALL_SET_GS_BASE, %eax
        syscall
.endm

#endif

#endif
