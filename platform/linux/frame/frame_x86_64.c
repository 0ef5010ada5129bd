/* frame_x86_64.c: the processor's half of Linux's signal frame on x86-64: registers, and how large extended state is.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (gregs, segments, _fpx_sw_bytes), arch/x86/kernel/signal.c
 * (get_sigframe, fpu__alloc_mathframe); Intel SDM volume 1, 3.4.3 (flags), 13.14 (XFD: loading a component that is not
 * enabled yet traps). ASSUMPTIONS: the kernel clears the direction flag, but not the alignment check flag, and loads
 * the initial extended state before a handler runs. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_x86_64.c is specific to Linux on x86-64"
#endif

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
#include "words.h"

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

size_t frame_size_most(void)
{
    return FRAME_WORDS + xsave_area_size() + AREA_END_SIZE + AREA_PADDING + FRAME_PADDING;
}

/* ---- registers ---- */

__attribute__((hot, target("fsgsbase"))) static void read_bases_directly(struct segue_regs *regs)
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
    uint64_t words = word_of(context, REG_CSGSFS);
    *code = words & 0xffff;
    *stack = words >> 48;
}

/* ---- extended state ---- */

/* With the word that the kernel appends to the area to find out whether it is complete. */
size_t frame_area_size(const void *context)
{
    const char *area = word_area_of(context);
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
    char *area = word_area_of(context);
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
           !((unsigned)frame->uc_stack.ss_flags & SS_AUTODISARM) && !(word_of(context, REG_EFL) & FLAG_NESTED_TASK);
}

bool frame_allows_detour(const void *context)
{
    uint64_t code, stack;
    frame_get_segments(context, &code, &stack);
    return code == selectors_code() && !(word_of(context, REG_EFL) & FLAG_TRAP);
}
