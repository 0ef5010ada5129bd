/* frame_i386.c: the processor's half of a frame on i386: registers.
 *
 * SOURCES: FreeBSD sys/x86/include/ucontext.h; sys/i386/i386/exec_machdep.c (sendsig: flags and selectors of a
 * handler); i386_get_fsbase(3), i386_get_gsbase(3). */
#if !defined(__FreeBSD__) || !defined(__i386__)
#error "frame_i386.c is specific to FreeBSD on i386"
#endif

#include "platform/frame/frame.h"

#include <machine/sysarch.h>
#include <stddef.h>
#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "native.h"

/* clang-format off */
#define EACH_NAME(DO)                                                                                                  \
    DO(rax, eax) DO(rbx, ebx) DO(rcx, ecx) DO(rdx, edx) DO(rsi, esi) DO(rdi, edi) DO(rbp, ebp) DO(rsp, esp)            \
    DO(rip, eip) DO(rflags, eflags)
/* clang-format on */

static mcontext_t *machine_of(const void *context)
{
    return &((const struct native_context *)context)->system->uc_mcontext;
}

uint64_t frame_instruction(const void *context)
{
    return (uint32_t)machine_of(context)->mc_eip;
}

void frame_set_instruction(void *context, uint64_t rip)
{
    machine_of(context)->mc_eip = (register_t)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return (uint32_t)machine_of(context)->mc_esp;
}

uint64_t frame_flags(const void *context)
{
    return (uint32_t)machine_of(context)->mc_eflags;
}

void frame_get_general(const void *context, struct segue_regs *regs)
{
    const mcontext_t *from = machine_of(context);
#define GET(field, name) regs->field = (uint32_t)from->mc_##name;
    EACH_NAME(GET)
#undef GET
    memset(&regs->r8, 0, offsetof(struct segue_regs, rip) - offsetof(struct segue_regs, r8));
}

void frame_get_registers(const void *context, struct segue_regs *regs)
{
    const mcontext_t *from = machine_of(context);
    frame_get_general(context, regs);
    memset(regs->selectors, 0, sizeof regs->selectors);
#define SELECTOR(NAME, name) regs->selectors[SEGUE_SEGMENT_##NAME] = (uint16_t)from->mc_##name;
    SELECTOR(ES, es) SELECTOR(CS, cs) SELECTOR(SS, ss) SELECTOR(DS, ds) SELECTOR(FS, fs) SELECTOR(GS, gs)
#undef SELECTOR
}

void frame_set_registers(void *context, const struct segue_regs *regs)
{
    mcontext_t *to = machine_of(context);
#define SET(field, name) to->mc_##name = (register_t)regs->field;
    EACH_NAME(SET)
#undef SET
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    *code = (uint32_t)machine_of(context)->mc_cs & 0xffff;
    *stack = (uint32_t)machine_of(context)->mc_ss & 0xffff;
}

/* A handler has the thread's bases. */
void frame_get_bases(struct segue_regs *regs)
{
    void *fs = NULL, *gs = NULL;
    i386_get_fsbase(&fs);
    i386_get_gsbase(&gs);
    regs->fs_base = (uintptr_t)fs;
    regs->gs_base = (uintptr_t)gs;
}

/* The kernel clears the trap and direction flags alone. */
void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

/* ---- other ways to resume ---- */

/* The argument is in EAX (ctx/try/try_i386.S). The interrupted x87 or MMX computation is abandoned. */
void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    const struct native_context *native = context;
    mcontext_t *machine = machine_of(context);
    unsigned char *area = native->state.is_gathered ? native->state.area : (unsigned char *)machine->mc_fpstate;
    machine->mc_eip = (register_t)instruction;
    machine->mc_eax = (register_t)argument;
    machine->mc_eflags &= ~(register_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    memset(area + XSAVE_FSW, 0, XSAVE_FTW + 1 - XSAVE_FSW);
    frame_scatter(context);
}

/* There are no such instructions for 32-bit code. */
bool frame_allows_detour(const void *context)
{
    (void)context;
    return false;
}
