/* frame_linux_x86_64.c: what ctx reads and changes in the signal frame of Linux on x86-64.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (gregs, segments, _fpx_sw_bytes); sigaltstack(2); Intel SDM
 * volume 1, 10.5.1 (FXSAVE area: status word at 2, abridged tag word at 4), 3.4.3 (flags), 13.14 (XFD: what is not
 * there yet traps when it is loaded); Linux arch/x86/kernel/fpu/signal.c (check_xstate_in_sigframe). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_linux_x86_64.c is specific to Linux on x86-64"
#endif

#include "frame.h"

#include <cpuid.h>
#include <string.h>
#include <ucontext.h>

#include "ctx/state/extended.h"
#include "decode/x86/flags.h"
#include "ctx/state/segments_x86_64.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

#define XSTATE_MAGIC 0x46505853u
/* Where the kernel's own words stand in the legacy area. */
#define SOFTWARE_BYTES 464
#define LEGACY_SIZE 512
#define LEGACY_FEATURES 3
#define HEADER 512
#define HEADER_END 576
/* At the end of the area. */
#define SECOND_MAGIC 0x46505845u
/* CPUID's leaf of components, and those that stand behind the header. */
#define CPUID_XSAVE 0xd
#define FIRST_EXTENDED 2
#define COMPONENTS 63

struct software_bytes {
    uint32_t magic, extended_size;
    uint64_t features;
    uint32_t xstate_size;
};

/* Each field of struct segue_regs up to rflags, and where it stands in gregs. Not a loop over a table: both ways are a part
 * of each fault, and this takes a third of the instructions. */
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, REG_RAX) DO(rbx, REG_RBX) DO(rcx, REG_RCX) DO(rdx, REG_RDX) DO(rsi, REG_RSI) DO(rdi, REG_RDI)              \
    DO(rbp, REG_RBP) DO(rsp, REG_RSP) DO(r8, REG_R8) DO(r9, REG_R9) DO(r10, REG_R10) DO(r11, REG_R11)                  \
    DO(r12, REG_R12) DO(r13, REG_R13) DO(r14, REG_R14) DO(r15, REG_R15) DO(rip, REG_RIP) DO(rflags, REG_EFL)

/* An interrupted x87 or MMX computation is left behind; its registers and pending exceptions must not be. */
static void empty_x87(ucontext_t *frame)
{
    struct _libc_fpstate *legacy = frame->uc_mcontext.fpregs;
    if (!legacy)
        return;
    legacy->swd = 0;
    legacy->ftw = 0;
}

void frame_call(void *ucontext, uint64_t instruction, uint64_t argument)
{
    ucontext_t *frame = ucontext;
    greg_t *registers = frame->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)instruction;
    registers[REG_RDI] = (greg_t)argument;
    registers[REG_EFL] &= ~(greg_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    empty_x87(frame);
}

void frame_set_mask(void *ucontext, uint64_t mask)
{
    memcpy(&((ucontext_t *)ucontext)->uc_sigmask, &mask, sizeof mask);
}

uint64_t frame_get_mask(const void *ucontext)
{
    uint64_t mask;
    memcpy(&mask, &((const ucontext_t *)ucontext)->uc_sigmask, sizeof mask);
    return mask;
}

/* A signal's frame has room for FS and GS, but the kernel stores zeros there; it does not change DS, ES, FS and GS on
 * the way to a handler. All are stored at once, so that whoever copies them soon need not wait for narrow stores. */
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

void frame_get_general(const void *ucontext, struct segue_regs *regs)
{
    const greg_t *from = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
#define GET(field, place) regs->field = (uint64_t)from[place];
    EACH_REGISTER(GET)
#undef GET
}

void frame_get_registers(const void *ucontext, struct segue_regs *regs)
{
    uint64_t code, stack;
    frame_get_general(ucontext, regs);
    frame_get_segments(ucontext, &code, &stack);
    store_selectors(regs, code, stack);
}

void frame_set_registers(void *ucontext, const struct segue_regs *regs)
{
    greg_t *to = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
#define SET(field, place) to[place] = (greg_t)regs->field;
    EACH_REGISTER(SET)
#undef SET
}

/* A kernel without XSAVE writes its words all the same, with no features and FXSAVE's size; what is there is x87 and
 * SSE. */
void frame_get_xstate(const void *ucontext, struct segue_xstate *xstate)
{
    char *area = (char *)((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
    const struct software_bytes *software = (const void *)(area + SOFTWARE_BYTES);
    *xstate = (struct segue_xstate){.area = NULL};
    if (!area || software->magic != XSTATE_MAGIC)
        return;
    *xstate = (struct segue_xstate){.area = area, .size = software->xstate_size, .features = software->features};
    if (xstate->size == LEGACY_SIZE)
        xstate->features = LEGACY_FEATURES;
}

uint64_t frame_get_page_fault(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_CR2];
}

void frame_get_trap(const void *ucontext, uint64_t *trap, uint64_t *error_code)
{
    const greg_t *registers = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    *trap = (uint64_t)registers[REG_TRAPNO];
    *error_code = (uint64_t)registers[REG_ERR];
}

/* The field is the segments' four 16-bit words: code, two of no use, stack. */
void frame_get_segments(const void *ucontext, uint64_t *code, uint64_t *stack)
{
    uint64_t words = (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_CSGSFS];
    *code = words & 0xffff;
    *stack = words >> 48;
}

bool frame_allows_direct_restore(const void *ucontext)
{
    const ucontext_t *frame = ucontext;
    struct segue_xstate xstate;
    uint64_t code, stack;
    frame_get_segments(ucontext, &code, &stack);
    frame_get_xstate(ucontext, &xstate);
    return code == CODE_SEGMENT && stack != 0 && xstate.area && !((unsigned)frame->uc_stack.ss_flags & SS_AUTODISARM) &&
           !((uint64_t)frame->uc_mcontext.gregs[REG_EFL] & FLAG_NESTED_TASK);
}

/* The kernel's part of the C library's type. */
#define KERNEL_UCONTEXT_SIZE (offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t))
#define AREA_ALIGNMENT 64

/* With what the kernel appends to the area to find out whether it is whole. */
size_t frame_area_size(const void *ucontext)
{
    const ucontext_t *frame = ucontext;
    const char *area = (const char *)frame->uc_mcontext.fpregs;
    const struct software_bytes *software = (const void *)(area + SOFTWARE_BYTES);
    if (!area)
        return 0;
    return software->magic == XSTATE_MAGIC ? software->extended_size : LEGACY_SIZE;
}

static size_t area_offset(void)
{
    return (KERNEL_UCONTEXT_SIZE + AREA_ALIGNMENT - 1) / AREA_ALIGNMENT * AREA_ALIGNMENT;
}

size_t frame_copy_size(const void *ucontext)
{
    return area_offset() + frame_area_size(ucontext);
}

void *frame_copy(const void *ucontext, void *to)
{
    const ucontext_t *frame = ucontext;
    ucontext_t *copy = to;
    memcpy(copy, frame, KERNEL_UCONTEXT_SIZE);
    if (frame->uc_mcontext.fpregs) {
        copy->uc_mcontext.fpregs = (void *)((char *)to + area_offset());
        memcpy(copy->uc_mcontext.fpregs, frame->uc_mcontext.fpregs, frame_area_size(frame));
    }
    return copy;
}

/* Loading what is not in its initial state makes the kernel give the room; what is loaded does not matter. */
void frame_make_room(const void *ucontext)
{
    struct segue_xstate frame;
    uint64_t kept, present;
    frame_get_xstate(ucontext, &frame);
    uint64_t wanted = frame.area ? frame.features & extended_on_demand() : 0;
    if (!wanted)
        return;
    char *header = (char *)frame.area + HEADER;
    memcpy(&kept, header, sizeof kept);
    present = kept | wanted;
    memcpy(header, &present, sizeof present);
    __asm__ volatile("xrstor64 (%0)" : : "r"(frame.area), "a"((uint32_t)wanted), "d"(wanted >> 32) : "memory");
    memcpy(header, &kept, sizeof kept);
}

/* Where the last of the components ends in an area. */
static uint32_t end_of(uint64_t features)
{
    uint32_t end = HEADER_END;
    for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
        uint32_t size, offset, kind, unused;
        if (!(features >> i & 1))
            continue;
        __cpuid_count(CPUID_XSAVE, i, size, offset, kind, unused);
        if (offset + size > end)
            end = offset + size;
    }
    return end;
}

void frame_narrow(void *ucontext)
{
    static const uint32_t magic = SECOND_MAGIC;
    char *area = (char *)((ucontext_t *)ucontext)->uc_mcontext.fpregs;
    uint64_t present;
    if (!area)
        return;
    struct software_bytes *software = (void *)(area + SOFTWARE_BYTES);
    if (software->magic != XSTATE_MAGIC || !(software->features & extended_on_demand()))
        return;
    software->features &= ~extended_on_demand();
    software->xstate_size = end_of(software->features);
    software->extended_size = software->xstate_size + (uint32_t)sizeof magic;
    memcpy(area + software->xstate_size, &magic, sizeof magic);
    memcpy(&present, area + HEADER, sizeof present);
    present &= software->features;
    memcpy(area + HEADER, &present, sizeof present);
}

bool frame_rearms_alternate_stack(const void *ucontext)
{
    return (unsigned)((const ucontext_t *)ucontext)->uc_stack.ss_flags & SS_AUTODISARM;
}

void frame_set_alternate_stack(void *ucontext, const stack_t *present)
{
    stack_t *stack = &((ucontext_t *)ucontext)->uc_stack;
    *stack = *present;
    stack->ss_flags &= ~SS_ONSTACK;
}

bool frame_interrupts_handler(const void *ucontext)
{
    const ucontext_t *frame = ucontext;
    uint64_t start = (uint64_t)(uintptr_t)frame->uc_stack.ss_sp, stack = (uint64_t)frame->uc_mcontext.gregs[REG_RSP];
    return !(frame->uc_stack.ss_flags & SS_DISABLE) && stack - start < frame->uc_stack.ss_size;
}

/* The kernel puts the address that the handler returns to below, siginfo_t behind, and the extended state above all. */
void frame_get_extent(const void *ucontext, uint64_t *low, uint64_t *high)
{
    uint64_t frame = (uint64_t)(uintptr_t)ucontext, end = frame + KERNEL_UCONTEXT_SIZE + sizeof(siginfo_t);
    uint64_t area = (uint64_t)(uintptr_t)((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
    *low = frame - sizeof(uint64_t);
    /* In between is what the area's alignment takes. */
    *high = area - end < 2 * AREA_ALIGNMENT ? area + frame_area_size(ucontext) : end;
}

bool frame_allows_detour(const void *ucontext)
{
    uint64_t code, stack;
    frame_get_segments(ucontext, &code, &stack);
    return code == CODE_SEGMENT && !((uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] & FLAG_TRAP);
}
