/* trap_x86_64.h: how a system call is made to trap (syscall user dispatch), and the trap's frame: the registers are
 * those behind the SYSCALL, with the call's number in RAX. For C and for assembly.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst; Linux arch/x86/entry/common.c (a call's number is
 * EAX). */
#ifndef SEGUE_LINUX_CALLS_TRAP_H
#define SEGUE_LINUX_CALLS_TRAP_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "trap_x86_64.h is specific to Linux on x86-64"
#endif

#if !defined(__ASSEMBLER__)
#include <linux/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "decode/x86/instructions/syscall.h"
#include "platform/calls/calls.h"
#endif

/* Newer than the headers of some C libraries. */
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

#if !defined(__ASSEMBLER__)
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* Makes a system call that does not trap. */
typedef long trap_call(long number, long first, long second, long third, long fourth, long fifth, long sixth);

/* The calling thread's calls trap from now on, except from that code, and while the byte `selector`, if there is one,
 * is 0. Returns what prctl does. */
static inline long trap_arm(trap_call *call, uint64_t start, uint64_t size, const volatile void *selector)
{
    return call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, (long)start, (long)size, (long)selector,
                0);
}

static inline void trap_disarm(trap_call *call)
{
    call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
}

static inline bool trap_is_call(const siginfo_t *info)
{
    return info->si_signo == SIGSYS && info->si_code == SYS_USER_DISPATCH;
}

/* ---- registers ---- */

static inline uint64_t registers_get(const ucontext_t *frame, int number)
{
    return (uint64_t)frame->uc_mcontext.gregs[number];
}

static inline void registers_set(ucontext_t *frame, int number, uint64_t value)
{
    frame->uc_mcontext.gregs[number] = (greg_t)value;
}

/* The six arguments of a system call, in order. */
static const int registers_of_arguments[CALL_ARGUMENTS] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};

static inline uint64_t registers_argument(const ucontext_t *frame, int number)
{
    return registers_get(frame, registers_of_arguments[number]);
}

static inline void registers_arguments(const ucontext_t *frame, uint64_t arguments[CALL_ARGUMENTS])
{
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        arguments[i] = registers_argument(frame, i);
}

static inline void registers_set_arguments(ucontext_t *frame, const uint64_t arguments[CALL_ARGUMENTS])
{
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        registers_set(frame, registers_of_arguments[i], arguments[i]);
}

/* The system call's number: the kernel ignores the rest of the register. */
static inline uint64_t registers_call_number(const ucontext_t *frame)
{
    return (uint32_t)registers_get(frame, REG_RAX);
}

/* The call that has trapped; its frame shows the address behind it. */
static inline struct system_call registers_call(struct native_frame native)
{
    const ucontext_t *frame = native.context;
    struct system_call call = {.number = registers_call_number(frame),
                               .instruction = registers_get(frame, REG_RIP) - SYSCALL_SIZE,
                               .native = native};
    registers_arguments(frame, call.arguments);
    return call;
}
#endif

#endif
