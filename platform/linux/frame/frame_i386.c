/* frame_i386.c: the processor's half of Linux's signal frame on i386: registers, extended state, the exception.
 *
 * The state of x87 is in a frame twice: in the image of FSAVE, with which a frame's floating-point part begins, and in
 * the XSAVE area behind it. The kernel writes both, and restores the image of FSAVE. The library reads and changes the
 * area, so what it writes back includes the image.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (struct _fpstate_32, struct sigcontext_32),
 * arch/x86/include/asm/sigframe.h (struct rt_sigframe_ia32), arch/x86/kernel/fpu/signal.c (save_fsave_header,
 * __fpu_restore_sig: "the FP portion of the fx frame has to be ignored"), arch/x86/kernel/fpu/regset.c
 * (convert_from_fxsr, convert_to_fxsr), arch/x86/kernel/signal_32.c (which segments a handler begins with);
 * get_thread_area(2), modify_ldt(2); Intel SDM volume 1, 3.4.3 (flags), volume 3, 17.3.1.1 (the resume flag). */
#if !defined(__linux__) || !defined(__i386__)
#error "frame_i386.c is specific to Linux on i386"
#endif

#include "decode/x86/traps.h"
#include "platform/frame/frame.h"
#include "platform/linux/abi.h"

#include <asm/ldt.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "platform/frame/entry_layout.h"
#include "platform/linux/call.h"
#include "software_bytes.h"

_Static_assert(ENTRY_CONTEXT == 4 * sizeof(uint32_t) + sizeof(siginfo_t), "pretcode, the arguments, siginfo");

/* Beside the frame itself: the word that ends the area, and what its alignment costs. */
#define AREA_END_SIZE 4
#define AREA_PADDING 63
#define FRAME_PADDING 23

/* The image of FSAVE. */
struct fsave {
    uint32_t control, status, tags, instruction, code_and_opcode, data, data_segment;
    uint8_t registers[8][10];
    uint16_t status_again, magic;
};
_Static_assert(sizeof(struct fsave) == AREA_LEAD, "the area follows it");
/* The area follows. */
#define FSAVE_HAS_AREA 0

/* Each field of struct segue_regs up to rflags, and its index in gregs. */
/* clang-format off */
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, REG_EAX)                                                                                                   \
    DO(rbx, REG_EBX) DO(rcx, REG_ECX) DO(rdx, REG_EDX) DO(rsi, REG_ESI) DO(rdi, REG_EDI) DO(rbp, REG_EBP)              \
        DO(rsp, REG_ESP) DO(rip, REG_EIP) DO(rflags, REG_EFL)
/* clang-format on */

static const greg_t *registers_of(const void *context)
{
    return ((const ucontext_t *)context)->uc_mcontext.gregs;
}

static uint32_t word_of(const void *context, int which)
{
    return (uint32_t)registers_of(context)[which];
}

static struct fsave *fsave_of(const void *context)
{
    return (struct fsave *)((const ucontext_t *)context)->uc_mcontext.fpregs;
}

/* NULL if the frame has none. */
static char *area_of(const void *context)
{
    struct fsave *legacy = fsave_of(context);
    return legacy && legacy->magic == FSAVE_HAS_AREA ? (char *)(legacy + 1) : NULL;
}

/* ---- to decide whose the signal is ---- */

void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

static uint32_t fault_address(const void *context)
{
    return (uint32_t)((const ucontext_t *)context)->uc_mcontext.cr2;
}

bool frame_is_fault(struct native_frame native)
{
    const siginfo_t *info = native.info;
    uint32_t trap = word_of(native.context, REG_TRAPNO), address = (uint32_t)(uintptr_t)info->si_addr;
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
        if (info->si_code == BUS_MCEERR_AR || trap == TRAP_ALIGNMENT)
            return true;
        break;
    case SIGSEGV:
        if (trap == TRAP_CONTROL)
            return true;
        break;
    case SIGFPE:
        return address == word_of(native.context, REG_EIP);
    default:
        return true;
    }
    return trap == TRAP_PAGE_FAULT && address == fault_address(native.context);
}

bool frame_is_fault_for_sure(const void *context)
{
    return word_of(context, REG_EFL) & FLAG_RESUME;
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
    return ENTRY_CONTEXT + FRAME_AFTER_CONTEXT + AREA_LEAD + xsave_area_size() + AREA_END_SIZE + AREA_PADDING +
           FRAME_PADDING;
}

/* ---- registers ---- */

uint64_t frame_instruction(const void *context)
{
    return word_of(context, REG_EIP);
}

void frame_set_instruction(void *context, uint64_t rip)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EIP] = (greg_t)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return word_of(context, REG_ESP);
}

uint64_t frame_flags(const void *context)
{
    return word_of(context, REG_EFL);
}

#define SELECTOR_LOCAL 4u
#define SELECTOR_INDEX_SHIFT 3
#define DESCRIPTOR_SIZE 8u
/* The lower descriptors of the local table, which is where programs begin. */
#define LOCAL_DESCRIPTORS 64u

static uint32_t base_in_local_table(unsigned index)
{
    uint8_t table[LOCAL_DESCRIPTORS][DESCRIPTOR_SIZE];
    if (index >= LOCAL_DESCRIPTORS)
        return 0;
    long size = system_call3(SYS_modify_ldt, 0, (long)table, (long)sizeof table);
    if (size < (long)((index + 1) * DESCRIPTOR_SIZE))
        return 0;
    const uint8_t *at = table[index];
    return at[2] | (uint32_t)at[3] << 8 | (uint32_t)at[4] << 16 | (uint32_t)at[7] << 24;
}

/* 0 for a null selector, and for one of a segment that covers all of memory. */
static uint32_t base_of(uint16_t selector)
{
    struct user_desc description = {.entry_number = selector >> SELECTOR_INDEX_SHIFT};
    if (description.entry_number == 0 && !(selector & SELECTOR_LOCAL))
        return 0;
    if (selector == selectors_stack() || selector == selectors_code())
        return 0;
    if (selector & SELECTOR_LOCAL)
        return base_in_local_table(description.entry_number);
    return system_call3(SYS_get_thread_area, (long)&description, 0, 0) == 0 ? description.base_addr : 0;
}

/* The handler uses thread-local storage, so GS points to the C library's thread control block, which begins with its
 * own address. */
void frame_get_bases(struct segue_regs *regs)
{
    uint32_t gs;
    uint16_t fs;
    __asm__ volatile("movl %%gs:0, %0" : "=r"(gs));
    __asm__("movw %%fs, %0" : "=r"(fs));
    regs->fs_base = base_of(fs);
    regs->gs_base = gs;
}

void frame_get_selectors(struct segue_regs *regs)
{
    memset(regs->selectors, 0, sizeof regs->selectors);
    __asm__("movw %%es, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_GS]));
}

void frame_get_general(const void *context, struct segue_regs *regs)
{
#define GET(field, place) regs->field = word_of(context, place);
    EACH_REGISTER(GET)
#undef GET
    memset(&regs->r8, 0, offsetof(struct segue_regs, rip) - offsetof(struct segue_regs, r8));
}

void frame_get_registers(const void *context, struct segue_regs *regs)
{
    frame_get_general(context, regs);
    memset(regs->selectors, 0, sizeof regs->selectors);
    regs->selectors[SEGUE_SEGMENT_ES] = (uint16_t)word_of(context, REG_ES);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)word_of(context, REG_CS);
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)word_of(context, REG_SS);
    regs->selectors[SEGUE_SEGMENT_DS] = (uint16_t)word_of(context, REG_DS);
    regs->selectors[SEGUE_SEGMENT_FS] = (uint16_t)word_of(context, REG_FS);
    regs->selectors[SEGUE_SEGMENT_GS] = (uint16_t)word_of(context, REG_GS);
}

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };
#define EXPONENT 0x7fffu
#define INTEGER_BIT 0x80u

static unsigned tag_of(const uint8_t *number)
{
    static const uint8_t zero[8];
    unsigned exponent = (number[8] | (unsigned)number[9] << 8) & EXPONENT;
    if (exponent == EXPONENT)
        return TAG_SPECIAL;
    if (exponent == 0)
        return memcmp(number, zero, sizeof zero) == 0 ? TAG_ZERO : TAG_SPECIAL;
    return number[7] & INTEGER_BIT ? TAG_VALID : TAG_SPECIAL;
}

/* FXSAVE has one bit for a register that is in use, FSAVE two that say what it holds. Registers are stored from the top
 * of the stack on, tags in their own order. */
static uint32_t tags_of(const char *area, uint16_t status)
{
    uint32_t tags = 0xffff0000u;
    unsigned top = status >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        bool is_used = (unsigned char)area[XSAVE_FTW] >> i & 1;
        const char *number = area + XSAVE_ST + 16 * ((i - top) & 7);
        tags |= (is_used ? tag_of((const uint8_t *)number) : TAG_EMPTY) << 2 * i;
    }
    return tags;
}

/* In a frame of the kernel's x87 and SSE count as in use, and of an area where SSE does not the kernel would ignore
 * MXCSR. */
static void mark_legacy(char *area)
{
    static const uint16_t control = FCW_INITIAL;
    uint64_t in_use;
    if (software_bytes_of(area).xstate_size < XSAVE_HEADER_END)
        return;
    memcpy(&in_use, area + XSAVE_XSTATE_BV, sizeof in_use);
    if ((in_use & COMPONENTS_LEGACY) == COMPONENTS_LEGACY)
        return;
    if (!(in_use & COMPONENT_X87)) {
        memset(area, 0, XSAVE_MXCSR);
        memcpy(area + XSAVE_FCW, &control, sizeof control);
        memset(area + XSAVE_ST, 0, XSAVE_ST_END - XSAVE_ST);
    }
    if (!(in_use & COMPONENT_SSE))
        memset(area + XSAVE_XMM, 0, XSAVE_XMM_END - XSAVE_XMM);
    in_use |= COMPONENTS_LEGACY;
    memcpy(area + XSAVE_XSTATE_BV, &in_use, sizeof in_use);
}

/* Brings the image of FSAVE up to date with the area. */
static void write_fsave(void *context)
{
    char *area = area_of(context);
    struct fsave *image = fsave_of(context);
    uint16_t control, status, opcode;
    if (!area)
        return;
    mark_legacy(area);
    memcpy(&control, area + XSAVE_FCW, sizeof control);
    memcpy(&status, area + XSAVE_FSW, sizeof status);
    memcpy(&opcode, area + XSAVE_FOP, sizeof opcode);
    image->control = 0xffff0000u | control;
    image->status = 0xffff0000u | status;
    image->status_again = status;
    image->tags = tags_of(area, status);
    memcpy(&image->instruction, area + XSAVE_FIP, sizeof image->instruction);
    image->code_and_opcode = (image->code_and_opcode & 0xffffu) | (uint32_t)opcode << 16;
    memcpy(&image->data, area + XSAVE_FDP, sizeof image->data);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image->registers[i], area + XSAVE_ST + 16 * i, sizeof image->registers[i]);
}

/* Also what has become of the extended state. */
void frame_set_registers(void *context, const struct segue_regs *regs)
{
    greg_t *to = ((ucontext_t *)context)->uc_mcontext.gregs;
#define SET(field, place) to[place] = (greg_t)regs->field;
    EACH_REGISTER(SET)
#undef SET
    to[REG_UESP] = to[REG_ESP];
    write_fsave(context);
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    *code = word_of(context, REG_CS) & 0xffff;
    *stack = word_of(context, REG_SS) & 0xffff;
}

/* ---- extended state ---- */

/* A kernel without XSAVE writes its software bytes all the same, with no features and FXSAVE's size; the area then
 * holds x87 and SSE. */
void frame_get_xstate(const void *context, struct segue_xstate *xstate)
{
    char *area = area_of(context);
    *xstate = (struct segue_xstate){.area = NULL};
    const struct software_bytes software = software_bytes_of(area);
    if (software.magic != SOFTWARE_MAGIC)
        return;
    *xstate = (struct segue_xstate){.area = area, .size = software.xstate_size, .features = software.features};
    if (xstate->size == XSAVE_LEGACY_SIZE)
        xstate->features = COMPONENTS_LEGACY;
}

/* A frame in FXSAVE's format has x87 and SSE. */
void frame_get_any_xstate(const void *context, struct segue_xstate *xstate)
{
    void *area = area_of(context);
    frame_get_xstate(context, xstate);
    if (!xstate->area && area)
        *xstate = (struct segue_xstate){.area = area, .size = XSAVE_LEGACY_SIZE, .features = COMPONENTS_LEGACY};
}

/* With the image of FSAVE, and the word that the kernel appends to the area to find out whether it is complete. */
size_t frame_area_size(const void *context)
{
    const char *area = area_of(context);
    if (!fsave_of(context))
        return 0;
    if (!area)
        return AREA_LEAD;
    const struct software_bytes software = software_bytes_of(area);
    return software.magic == SOFTWARE_MAGIC ? software.extended_size : AREA_LEAD + XSAVE_LEGACY_SIZE;
}

/* 32-bit code cannot use a component that the kernel enables on demand. */
void frame_make_room(const void *context)
{
    (void)context;
}

void frame_narrow(void *context)
{
    (void)context;
}

/* ---- the processor's report ---- */

void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const siginfo_t *info = native.info;
    *fault = (struct segue_fault){
        .trap = (uint8_t)word_of(native.context, REG_TRAPNO),
        .error_code = word_of(native.context, REG_ERR),
        .instruction = frame_instruction(native.context),
        .signal = info->si_signo,
        .code = info->si_code,
    };
    if (fault->trap != TRAP_PAGE_FAULT || info->si_code == SI_KERNEL)
        return;
    fault->address_known = true;
    fault->address = fault_address(native.context);
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
    else
        fault->direction = (fault->error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    exception->trap = word_of(context, REG_TRAPNO);
    exception->error_code = word_of(context, REG_ERR);
    exception->address = fault_address(context);
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    mcontext_t *to = &((ucontext_t *)context)->uc_mcontext;
    to->gregs[REG_TRAPNO] = (greg_t)exception->trap;
    to->gregs[REG_ERR] = (greg_t)exception->error_code;
    to->cr2 = (unsigned long)exception->address;
}

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned; its registers and pending exceptions must not stay. */
static void empty_x87(void *context)
{
    struct fsave *image = fsave_of(context);
    char *area = area_of(context);
    if (image) {
        image->status = 0xffff0000u;
        image->tags = 0xffffffffu;
    }
    if (area)
        memset(area + XSAVE_FSW, 0, XSAVE_FTW + 1 - XSAVE_FSW);
}

void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_EIP] = (greg_t)instruction;
    registers[REG_EAX] = (greg_t)argument;
    registers[REG_EFL] &= ~(greg_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    empty_x87(context);
}

/* IRET in 32-bit code loads no stack pointer. */
bool frame_allows_direct_restore(const void *context)
{
    (void)context;
    return false;
}

/* There are no such instructions for 32-bit code. */
bool frame_allows_detour(const void *context)
{
    (void)context;
    return false;
}
