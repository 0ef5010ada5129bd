/* frame_x86_64.c: the processor's half of Linux's signal frame on x86-64: registers, extended state, the exception.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (gregs, segments, _fpx_sw_bytes); Intel SDM volume 1, 3.4.3
 * (flags), 13.14 (XFD: loading a component that is not enabled yet traps), volume 3, 6.15 (page-fault error code) and
 * 17.3.1.1 (the resume flag is set in the flags that a fault saves, not in those of an interrupt or a system call);
 * Linux arch/x86/kernel/signal.c (get_sigframe, fpu__alloc_mathframe), arch/x86/kernel/fpu/signal.c
 * (check_xstate_in_sigframe), traps.c (a general protection fault is SI_KERNEL with address 0, and leaves the last page
 * fault's address in the frame; send_sigtrap: a step trap's siginfo), mm/fault.c (si_addr is CR2). ASSUMPTIONS: the
 * kernel clears the direction flag, but not the alignment check flag, and loads the initial extended state before a
 * handler runs. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_x86_64.c is specific to Linux on x86-64"
#endif

#include "decode/x86/traps.h"
#include "platform/frame/frame.h"
#include "platform/linux/abi.h"

#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "platform/linux/call_x86_64.h"
#include "software_bytes.h"

/* The kernel's frame: pretcode, ucontext, siginfo; above it the area with its last word, at a multiple of 64, all of
 * it below a multiple of 16. */
#define FRAME_WORDS (8 + offsetof(ucontext_t, uc_sigmask) + 8 + sizeof(siginfo_t))
#define AREA_END_SIZE 4
#define AREA_PADDING 63
#define FRAME_PADDING 23

/* Each field of struct segue_regs up to rflags, and its index in gregs. Not a loop over a table: every fault copies
 * them both ways, and this takes a third of the instructions. */
/* clang-format off */
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, REG_RAX)                                                                                                   \
    DO(rbx, REG_RBX) DO(rcx, REG_RCX) DO(rdx, REG_RDX) DO(rsi, REG_RSI) DO(rdi, REG_RDI) DO(rbp, REG_RBP)              \
        DO(rsp, REG_RSP) DO(r8, REG_R8) DO(r9, REG_R9) DO(r10, REG_R10) DO(r11, REG_R11) DO(r12, REG_R12)              \
            DO(r13, REG_R13) DO(r14, REG_R14) DO(r15, REG_R15) DO(rip, REG_RIP) DO(rflags, REG_EFL)
/* clang-format on */

static const greg_t *registers_of(const void *context)
{
    return ((const ucontext_t *)context)->uc_mcontext.gregs;
}

/* ---- to decide whose the signal is ---- */

__attribute__((hot)) void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    const siginfo_t *info = native.info;
    const greg_t *frame = registers_of(native.context);
    /* Positive codes are the kernel's, but a thread may send itself any. */
    if (info->si_code <= 0)
        return false;
    if (info->si_code == SI_KERNEL)
        return true;
    switch (info->si_signo) {
    case SIGBUS:
        /* BUS_MCEERR_AO reports broken memory that no thread has touched yet. */
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

__attribute__((hot)) bool frame_is_fault_for_sure(const void *context)
{
    return (uint64_t)registers_of(context)[REG_EFL] & FLAG_RESUME;
}

void frame_set_kernel_signal(struct native_frame native, int number)
{
    *(siginfo_t *)native.info = (siginfo_t){.si_signo = number, .si_code = SI_KERNEL};
}

void frame_set_step_trap(struct native_frame native)
{
    siginfo_t *info = native.info;
    struct frame_exception exception;
    frame_get_exception(native.context, &exception);
    exception.trap = TRAP_DEBUG;
    exception.error_code = 0;
    frame_set_exception(native.context, &exception);
    memset(info, 0, sizeof *info);
    info->si_signo = SIGTRAP;
    info->si_code = TRAP_TRACE;
    info->si_addr = (void *)(uintptr_t)frame_instruction(native.context);
}

size_t frame_size_most(void)
{
    return FRAME_WORDS + xsave_area_size() + AREA_END_SIZE + AREA_PADDING + FRAME_PADDING;
}

/* ---- registers ---- */

__attribute__((hot)) uint64_t frame_instruction(const void *context)
{
    return (uint64_t)registers_of(context)[REG_RIP];
}

void frame_set_instruction(void *context, uint64_t rip)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return (uint64_t)registers_of(context)[REG_RSP];
}

__attribute__((hot)) uint64_t frame_flags(const void *context)
{
    return (uint64_t)registers_of(context)[REG_EFL];
}

__attribute__((target("fsgsbase"))) static void read_bases_directly(struct segue_regs *regs)
{
    regs->fs_base = _readfsbase_u64();
    regs->gs_base = _readgsbase_u64();
}

/* Whether the kernel lets programs use RDFSBASE; read once. */
static bool has_fsgsbase(void)
{
    enum { UNKNOWN, NO, YES };
    static uint8_t answer;
    uint8_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = abi_has_fsgsbase() ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}

__attribute__((hot)) void frame_get_bases(struct segue_regs *regs)
{
    if (has_fsgsbase()) {
        read_bases_directly(regs);
        return;
    }
    system_call3(SYS_arch_prctl, ARCH_GET_FS, (long)&regs->fs_base, 0);
    system_call3(SYS_arch_prctl, ARCH_GET_GS, (long)&regs->gs_base, 0);
}

/* A signal frame has fields for FS and GS, but the kernel stores zeros there; it does not change DS, ES, FS and GS
 * before it enters a handler. One store writes all selectors, so that a copy soon after need not wait for narrow
 * stores. */
static void store_selectors(struct segue_regs *regs, uint64_t code, uint64_t stack)
{
    uint32_t es, ds, fs, gs;
    __asm__("movl %%es, %0" : "=r"(es));
    __asm__("movl %%ds, %0" : "=r"(ds));
    __asm__("movl %%fs, %0" : "=r"(fs));
    __asm__("movl %%gs, %0" : "=r"(gs));
    /* In the order of enum segue_segment. */
    const uint64_t words[] = {es | code << 16 | stack << 32 | (uint64_t)ds << 48, fs | (uint64_t)gs << 16};
    _Static_assert(sizeof words == sizeof regs->selectors, "the selectors");
    memcpy(regs->selectors, words, sizeof words);
}

void frame_get_selectors(struct segue_regs *regs)
{
    uint32_t cs, ss;
    __asm__("movl %%cs, %0" : "=r"(cs));
    __asm__("movl %%ss, %0" : "=r"(ss));
    store_selectors(regs, cs, ss);
}

void frame_get_general(const void *context, struct segue_regs *regs)
{
    const greg_t *from = ((const ucontext_t *)context)->uc_mcontext.gregs;
#define GET(field, place) regs->field = (uint64_t)from[place];
    EACH_REGISTER(GET)
#undef GET
}

__attribute__((hot)) void frame_get_registers(const void *context, struct segue_regs *regs)
{
    uint64_t code, stack;
    frame_get_general(context, regs);
    frame_get_segments(context, &code, &stack);
    store_selectors(regs, code, stack);
}

__attribute__((hot)) void frame_set_registers(void *context, const struct segue_regs *regs)
{
    greg_t *to = ((ucontext_t *)context)->uc_mcontext.gregs;
#define SET(field, place) to[place] = (greg_t)regs->field;
    EACH_REGISTER(SET)
#undef SET
}

/* The field holds four 16-bit words: the code segment, two unused ones, the stack segment. */
__attribute__((hot)) void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    uint64_t words = (uint64_t)registers_of(context)[REG_CSGSFS];
    *code = words & 0xffff;
    *stack = words >> 48;
}

/* ---- extended state ---- */

/* A kernel without XSAVE writes its software bytes all the same, with no features and FXSAVE's size; the area then
 * holds x87 and SSE. */
__attribute__((hot)) void frame_get_xstate(const void *context, struct segue_xstate *xstate)
{
    char *area = (char *)((const ucontext_t *)context)->uc_mcontext.fpregs;
    const struct software_bytes *software = (const void *)(area + XSAVE_SOFTWARE);
    *xstate = (struct segue_xstate){.area = NULL};
    if (!area || software->magic != SOFTWARE_MAGIC)
        return;
    *xstate = (struct segue_xstate){.area = area, .size = software->xstate_size, .features = software->features};
    if (xstate->size == XSAVE_LEGACY_SIZE)
        xstate->features = COMPONENTS_LEGACY;
}

/* A frame in FXSAVE's format has x87 and SSE. */
__attribute__((hot)) void frame_get_any_xstate(const void *context, struct segue_xstate *xstate)
{
    void *area = ((const ucontext_t *)context)->uc_mcontext.fpregs;
    frame_get_xstate(context, xstate);
    if (!xstate->area && area)
        *xstate = (struct segue_xstate){.area = area, .size = XSAVE_LEGACY_SIZE, .features = COMPONENTS_LEGACY};
}

/* With the word that the kernel appends to the area to find out whether it is complete. */
size_t frame_area_size(const void *context)
{
    const ucontext_t *frame = context;
    const char *area = (const char *)frame->uc_mcontext.fpregs;
    const struct software_bytes *software = (const void *)(area + XSAVE_SOFTWARE);
    if (!area)
        return 0;
    return software->magic == SOFTWARE_MAGIC ? software->extended_size : XSAVE_LEGACY_SIZE;
}

/* Loading a component in a state other than the initial one makes the kernel enlarge the thread's area; the value
 * does not matter. */
void frame_make_room(const void *context)
{
    struct segue_xstate frame;
    uint64_t kept, present;
    frame_get_xstate(context, &frame);
    uint64_t wanted = frame.area ? frame.features & xsave_on_demand() : 0;
    if (!wanted)
        return;
    char *header = (char *)frame.area + XSAVE_XSTATE_BV;
    memcpy(&kept, header, sizeof kept);
    present = kept | wanted;
    memcpy(header, &present, sizeof present);
    __asm__ volatile("xrstor64 (%0)" : : "r"(frame.area), "a"((uint32_t)wanted), "d"(wanted >> 32) : "memory");
    memcpy(header, &kept, sizeof kept);
}

void frame_narrow(void *context)
{
    static const uint32_t magic = SOFTWARE_LAST_MAGIC;
    char *area = (char *)((ucontext_t *)context)->uc_mcontext.fpregs;
    uint64_t present;
    if (!area)
        return;
    struct software_bytes *software = (void *)(area + XSAVE_SOFTWARE);
    if (software->magic != SOFTWARE_MAGIC || !(software->features & xsave_on_demand()))
        return;
    software->features &= ~xsave_on_demand();
    software->xstate_size = xsave_end(software->features);
    software->extended_size = software->xstate_size + (uint32_t)sizeof magic;
    memcpy(area + software->xstate_size, &magic, sizeof magic);
    memcpy(&present, area + XSAVE_XSTATE_BV, sizeof present);
    present &= software->features;
    memcpy(area + XSAVE_XSTATE_BV, &present, sizeof present);
}

/* ---- the processor's report ---- */

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const greg_t *registers = registers_of(native.context);
    *fault = (struct segue_fault){
        .trap = (uint8_t)registers[REG_TRAPNO],
        .error_code = (uint32_t)registers[REG_ERR],
        .instruction = (uint64_t)registers[REG_RIP],
        .signal = ((const siginfo_t *)native.info)->si_signo,
        .code = ((const siginfo_t *)native.info)->si_code,
    };
    if (fault->trap != TRAP_PAGE_FAULT || ((const siginfo_t *)native.info)->si_code == SI_KERNEL)
        return;
    fault->address_known = true;
    fault->address = (uint64_t)registers[REG_CR2];
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = (fault->error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    const greg_t *from = registers_of(context);
    exception->trap = (uint64_t)from[REG_TRAPNO];
    exception->error_code = (uint64_t)from[REG_ERR];
    exception->address = (uint64_t)from[REG_CR2];
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    greg_t *to = ((ucontext_t *)context)->uc_mcontext.gregs;
    to[REG_TRAPNO] = (greg_t)exception->trap;
    to[REG_ERR] = (greg_t)exception->error_code;
    to[REG_CR2] = (greg_t)exception->address;
}

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned; its registers and pending exceptions must not stay. */
static void empty_x87(ucontext_t *frame)
{
    struct _libc_fpstate *legacy = frame->uc_mcontext.fpregs;
    if (!legacy)
        return;
    legacy->swd = 0;
    legacy->ftw = 0;
}

void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    ucontext_t *frame = context;
    greg_t *registers = frame->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)instruction;
    registers[REG_RDI] = (greg_t)argument;
    registers[REG_EFL] &= ~(greg_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    empty_x87(frame);
}

__attribute__((hot)) bool frame_allows_direct_restore(const void *context)
{
    const ucontext_t *frame = context;
    struct segue_xstate xstate;
    uint64_t code, stack;
    frame_get_segments(context, &code, &stack);
    frame_get_xstate(context, &xstate);
    return code == selectors_code() && stack != 0 && xstate.area &&
           !((unsigned)frame->uc_stack.ss_flags & SS_AUTODISARM) &&
           !((uint64_t)frame->uc_mcontext.gregs[REG_EFL] & FLAG_NESTED_TASK);
}

bool frame_allows_detour(const void *context)
{
    uint64_t code, stack;
    frame_get_segments(context, &code, &stack);
    return code == selectors_code() &&
           !((uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] & FLAG_TRAP);
}
