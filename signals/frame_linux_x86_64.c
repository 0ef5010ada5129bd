/* frame_linux_x86_64.c: the signal frame of Linux on x86-64.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h; Intel SDM volume 3, 6.15 (page-fault error code) and 17.3.1.1
 * (the resume flag is set in the flags that a fault saves, not in those of an interrupt or a system call); Linux
 * arch/x86/kernel/signal.c (get_sigframe, fpu__alloc_mathframe), traps.c (a general protection fault is SI_KERNEL with
 * address 0, and leaves the last page fault's address in the frame), mm/fault.c (si_addr is CR2). ASSUMPTIONS: the
 * kernel clears the direction flag, but not the alignment check flag, and loads the initial extended state before a
 * handler runs. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_linux_x86_64.c is specific to Linux on x86-64"
#endif

#include "frame.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "ctx/state/extended.h"
#include "ctx/frame.h"
#include "ctx/guest/gate.h"
#include "platform/linux/call_x86_64.h"
#include "signals/handler/entry_layout.h"

#define TRAP_PAGE_FAULT 14
#define TRAP_ALIGNMENT 17
#define TRAP_CONTROL 21
#define ERROR_WRITE 2u
#define ERROR_FETCH 16u
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define HWCAP2_FSGSBASE 2u
#define FLAG_ALIGNMENT_CHECK 0x40000u
#define FLAG_RESUME 0x10000
#define LEGACY_SIZE 512
#define LEGACY_FEATURES 3
/* The kernel's frame: pretcode, ucontext, siginfo; above it the area, with its last word, at a multiple of 64, all of
 * it below a multiple of 16. */
#define FRAME_WORDS (8 + offsetof(ucontext_t, uc_sigmask) + 8 + sizeof(siginfo_t))
#define AREA_END_SIZE 4
#define AREA_PADDING 63
#define FRAME_PADDING 23
#define CPUID_XSAVE 0xd

_Static_assert(offsetof(ucontext_t, uc_stack.ss_sp) == ENTRY_STACK, "entry_layout.h");
_Static_assert(offsetof(ucontext_t, uc_stack.ss_size) == ENTRY_STACK_SIZE, "entry_layout.h");
_Static_assert(offsetof(siginfo_t, si_code) == ENTRY_CODE, "entry_layout.h");
_Static_assert(offsetof(siginfo_t, si_pid) == ENTRY_PID, "entry_layout.h");

void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT_CHECK);
}

uint64_t frame_instruction(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

uint64_t frame_flags(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL];
}

void frame_set_instruction(void *ucontext, uint64_t rip)
{
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

__attribute__((target("fsgsbase"))) static void read_bases_directly(struct segue_regs *regs)
{
    regs->fs_base = _readfsbase_u64();
    regs->gs_base = _readgsbase_u64();
}

/* Whether the kernel lets programs use RDFSBASE; asked once. */
static bool has_fsgsbase(void)
{
    enum { UNKNOWN, NO, YES };
    static uint8_t answer;
    uint8_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}

void frame_bases(struct segue_regs *regs)
{
    if (has_fsgsbase()) {
        read_bases_directly(regs);
        return;
    }
    system_call3(SYS_arch_prctl, ARCH_GET_FS, (long)&regs->fs_base, 0);
    system_call3(SYS_arch_prctl, ARCH_GET_GS, (long)&regs->gs_base, 0);
}

void frame_read(const void *ucontext, struct segue_regs *regs)
{
    frame_get_registers(ucontext, regs);
    frame_bases(regs);
    guest_bases(ucontext, &regs->fs_base, &regs->gs_base);
}

void frame_write(void *ucontext, const struct segue_regs *regs)
{
    frame_set_registers(ucontext, regs);
}

/* A frame in FXSAVE's format has x87 and SSE. */
void frame_xstate(const void *ucontext, struct segue_xstate *xstate)
{
    void *area = ((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
    frame_get_xstate(ucontext, xstate);
    if (!xstate->area && area)
        *xstate = (struct segue_xstate){.area = area, .size = LEGACY_SIZE, .features = LEGACY_FEATURES};
}

size_t frame_size_most(void)
{
    static uint32_t area;
    uint32_t size = __atomic_load_n(&area, __ATOMIC_RELAXED), in_all, c, d;
    if (!size) {
        size = LEGACY_SIZE;
        if (extended_enabled())
            __cpuid_count(CPUID_XSAVE, 0, in_all, size, c, d);
        __atomic_store_n(&area, size, __ATOMIC_RELAXED);
    }
    return FRAME_WORDS + size + AREA_END_SIZE + AREA_PADDING + FRAME_PADDING;
}

size_t frame_room(const void *ucontext, const void *stack_pointer)
{
    const stack_t *stack = frame_alternate_stack(ucontext);
    size_t room = (size_t)((uintptr_t)stack_pointer - (uintptr_t)stack->ss_sp);
    return room <= stack->ss_size ? room : SIZE_MAX;
}

bool frame_is_fault(const siginfo_t *info, const void *ucontext)
{
    const greg_t *frame = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    /* Positive codes are the kernel's, but a thread may send itself any. */
    if (info->si_code <= 0)
        return false;
    if (info->si_code == SI_KERNEL)
        return true;
    switch (info->si_signo) {
    case SIGBUS:
        /* BUS_MCEERR_AO tells of broken memory that nobody has touched yet. */
        if (info->si_code == BUS_MCEERR_AO)
            return false;
        if (info->si_code == BUS_MCEERR_AR || frame[REG_TRAPNO] == TRAP_ALIGNMENT)
            return true;
        break;
    case SIGSEGV:
        if (frame[REG_TRAPNO] == TRAP_CONTROL)
            return true;
        break;
    case SIGFPE:
        return (uint64_t)(uintptr_t)info->si_addr == (uint64_t)frame[REG_RIP];
    default:
        return true;
    }
    return frame[REG_TRAPNO] == TRAP_PAGE_FAULT && (uint64_t)(uintptr_t)info->si_addr == (uint64_t)frame[REG_CR2];
}

bool frame_is_fault_for_sure(const void *ucontext)
{
    return ((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] & FLAG_RESUME;
}

bool frame_is_lost(const siginfo_t *info)
{
    return info->si_code == SI_USER && info->si_pid == 0 && info->si_uid == 0;
}

void frame_fault(const siginfo_t *info, const void *ucontext, struct segue_fault *fault)
{
    const ucontext_t *frame = ucontext;
    *fault = (struct segue_fault){
        .trap = (uint8_t)frame->uc_mcontext.gregs[REG_TRAPNO],
        .error_code = (uint32_t)frame->uc_mcontext.gregs[REG_ERR],
    };
    if (fault->trap != TRAP_PAGE_FAULT || info->si_code == SI_KERNEL)
        return;
    fault->address_known = true;
    fault->address = (uint64_t)frame->uc_mcontext.gregs[REG_CR2];
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = (fault->error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

void frame_exception_read(const void *ucontext, struct frame_exception *exception)
{
    const greg_t *from = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    exception->trap = (uint64_t)from[REG_TRAPNO];
    exception->error_code = (uint64_t)from[REG_ERR];
    exception->address = (uint64_t)from[REG_CR2];
}

void frame_exception_write(void *ucontext, const struct frame_exception *exception)
{
    greg_t *to = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    to[REG_TRAPNO] = (greg_t)exception->trap;
    to[REG_ERR] = (greg_t)exception->error_code;
    to[REG_CR2] = (greg_t)exception->address;
}

const sigset_t *frame_mask(const void *ucontext)
{
    return &((const ucontext_t *)ucontext)->uc_sigmask;
}

uint64_t frame_stack_pointer(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RSP];
}

/* The kernel notes the stack that was set, whether it is the one in use or not. A stack that is all used up ends at its
 * lowest byte, and one that is not used at all, at its end. */
static bool is_on_alternate(const ucontext_t *frame, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)frame->uc_stack.ss_sp - 1 < frame->uc_stack.ss_size;
}

bool frame_was_on_alternate_stack(const void *ucontext)
{
    return is_on_alternate(ucontext, frame_stack_pointer(ucontext));
}

bool frame_on_alternate_stack(const void *ucontext)
{
    return is_on_alternate(ucontext, (uint64_t)(uintptr_t)ucontext);
}

const stack_t *frame_alternate_stack(const void *ucontext)
{
    return &((const ucontext_t *)ucontext)->uc_stack;
}
