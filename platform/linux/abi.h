/* abi.h: constants of Linux's interface for x86 that the C library's headers may lack, for C and for assembly. The
 * codes of arch_prctl, and FSGSBASE's bit in AT_HWCAP2, come from the kernel's own headers.
 *
 * SOURCES: Linux include/uapi/linux/signal.h, include/uapi/linux/auxvec.h; arch/x86/include/uapi/asm/sigcontext.h. */
#ifndef SEGUE_PLATFORM_LINUX_ABI_H
#define SEGUE_PLATFORM_LINUX_ABI_H

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__i386__))
#error "platform/linux/abi.h is specific to Linux on x86"
#endif

#include <asm/hwcap2.h>
#include <asm/prctl.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#ifndef SS_AUTODISARM
#define SS_AUTODISARM 0x80000000u
#endif

/* The kernel's part of the C library's ucontext_t: up to the end of its signal mask, which has 64 bits. */
#if defined(__x86_64__)
#define KERNEL_UCONTEXT_SIZE 304
#else
#define KERNEL_UCONTEXT_SIZE 116
#endif

/* From a frame's context to what the kernel puts above the frame: siginfo follows; or, on i386, eight bytes of code. */
#if defined(__x86_64__)
#define FRAME_AFTER_CONTEXT (KERNEL_UCONTEXT_SIZE + 128)
#else
#define FRAME_AFTER_CONTEXT (KERNEL_UCONTEXT_SIZE + 8)
#endif

/* The floating-point part of a frame begins with so many bytes (an image of FSAVE), before the XSAVE area. */
#if defined(__x86_64__)
#define AREA_LEAD 0
#else
#define AREA_LEAD 112
#endif

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <sys/auxv.h>

/* Whether the kernel lets programs use RDFSBASE, WRFSBASE and the like. Async-signal-safe. */
static inline bool abi_has_fsgsbase(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

#endif
#endif
