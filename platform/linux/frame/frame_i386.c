/* frame_i386.c: the processor's half of Linux's signal frame on i386: registers, and the size of the extended state.
 *
 * The state of x87 is in a frame twice: in the image of FSAVE, with which a frame's floating-point part begins, and in
 * the XSAVE area behind it. The kernel writes both, and restores the image of FSAVE. The library reads and changes the
 * area, so what it writes back includes the image.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (struct _fpstate_32, struct sigcontext_32),
 * arch/x86/include/asm/sigframe.h (struct rt_sigframe_ia32), arch/x86/kernel/fpu/signal.c (save_fsave_header,
 * __fpu_restore_sig: "the FP portion of the fx frame has to be ignored"), arch/x86/kernel/signal_32.c (which segments a
 * handler begins with);
 * get_thread_area(2), modify_ldt(2); Intel SDM volume 1, 3.4.3 (flags), volume 3, 17.3.1.1 (the resume flag). */
#if !defined(__linux__) || !defined(__i386__)
#error "frame_i386.c is specific to Linux on i386"
#endif

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
#include "words.h"

_Static_assert(ENTRY_CONTEXT == 4 * sizeof(uint32_t) + sizeof(siginfo_t), "pretcode, the arguments, siginfo");

/* Beside the frame itself: the word that ends the area, and what its alignment costs. */
#define AREA_END_SIZE 4
#define AREA_PADDING 63
#define FRAME_PADDING 23

/* Each field of struct segue_regs up to rflags, and its index in gregs. */
/* clang-format off */
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, REG_EAX)                                                                                                   \
    DO(rbx, REG_EBX) DO(rcx, REG_ECX) DO(rdx, REG_EDX) DO(rsi, REG_ESI) DO(rdi, REG_EDI) DO(rbp, REG_EBP)              \
        DO(rsp, REG_ESP) DO(rip, REG_EIP) DO(rflags, REG_EFL)
/* clang-format on */

size_t frame_size_most(void)
{
    return ENTRY_CONTEXT + FRAME_AFTER_CONTEXT + AREA_LEAD + xsave_area_size() + AREA_END_SIZE + AREA_PADDING +
           FRAME_PADDING;
}

/* ---- registers ---- */

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

/* In a frame of the kernel's x87 and SSE count as in use, and of an area where SSE does not the kernel would ignore
 * MXCSR. */
static void mark_legacy(char *area)
{
    uint64_t in_use;
    if (software_bytes_of(area).xstate_size < XSAVE_HEADER_END)
        return;
    memcpy(&in_use, area + XSAVE_XSTATE_BV, sizeof in_use);
    if ((in_use & COMPONENTS_LEGACY) == COMPONENTS_LEGACY)
        return;
    xsave_fill_initial((unsigned char *)area, in_use);
    in_use |= COMPONENTS_LEGACY;
    memcpy(area + XSAVE_XSTATE_BV, &in_use, sizeof in_use);
}

/* Brings the image of FSAVE up to date with the area. */
static void write_fsave(void *context)
{
    char *area = word_area_of(context);
    struct frame_x87 *x87 = x87_of(context);
    if (!area)
        return;
    mark_legacy(area);
    fsave_fill(&x87->image, area);
    x87->status_again = (uint16_t)x87->image.status;
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

/* With the image of FSAVE, and the word that the kernel appends to the area to find out whether it is complete. */
size_t frame_area_size(const void *context)
{
    const char *area = word_area_of(context);
    if (!x87_of(context))
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

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned; its registers and pending exceptions must not stay. */
static void empty_x87(void *context)
{
    struct frame_x87 *x87 = x87_of(context);
    char *area = word_area_of(context);
    if (x87) {
        x87->image.status = 0xffff0000u;
        x87->image.tags = 0xffffffffu;
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
