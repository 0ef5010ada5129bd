/* frame_x86_64.c: the processor's half of a frame on x86-64: registers.
 *
 * SOURCES: FreeBSD sys/x86/include/ucontext.h; sys/amd64/amd64/exec_machdep.c (sendsig: flags and selectors of a
 * handler; sigreturn refuses changed system flags); amd64_get_fsbase(3), amd64_get_gsbase(3). */
#if !defined(__FreeBSD__) || !defined(__x86_64__)
#error "frame_x86_64.c is specific to FreeBSD on x86-64"
#endif

#include "platform/frame/frame.h"

#include <machine/sysarch.h>
#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "native.h"

/* clang-format off */
#define EACH_NAME(DO)                                                                                                  \
    DO(rax) DO(rbx) DO(rcx) DO(rdx) DO(rsi) DO(rdi) DO(rbp) DO(rsp) DO(r8) DO(r9) DO(r10) DO(r11) DO(r12) DO(r13)      \
    DO(r14) DO(r15) DO(rip) DO(rflags)
/* clang-format on */

static mcontext_t *machine_of(const void *context)
{
    return &((const struct native_context *)context)->system->uc_mcontext;
}

__attribute__((hot)) uint64_t frame_instruction(const void *context)
{
    return (uint64_t)machine_of(context)->mc_rip;
}

void frame_set_instruction(void *context, uint64_t rip)
{
    machine_of(context)->mc_rip = (register_t)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return (uint64_t)machine_of(context)->mc_rsp;
}

__attribute__((hot)) uint64_t frame_flags(const void *context)
{
    return (uint64_t)machine_of(context)->mc_rflags;
}

__attribute__((hot)) void frame_get_general(const void *context, struct segue_regs *regs)
{
    const mcontext_t *from = machine_of(context);
#define GET(name) regs->name = (uint64_t)from->mc_##name;
    EACH_NAME(GET)
#undef GET
}

/* The kernel loads its own selectors for a handler; the frame has the thread's. */
__attribute__((hot)) void frame_get_registers(const void *context, struct segue_regs *regs)
{
    const mcontext_t *from = machine_of(context);
    frame_get_general(context, regs);
    frame_get_selectors(regs);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)from->mc_cs;
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)from->mc_ss;
    if (!(from->mc_flags & _MC_HASSEGS))
        return;
    regs->selectors[SEGUE_SEGMENT_ES] = from->mc_es;
    regs->selectors[SEGUE_SEGMENT_DS] = from->mc_ds;
    regs->selectors[SEGUE_SEGMENT_FS] = from->mc_fs;
    regs->selectors[SEGUE_SEGMENT_GS] = from->mc_gs;
}

__attribute__((hot)) void frame_set_registers(void *context, const struct segue_regs *regs)
{
    mcontext_t *to = machine_of(context);
#define SET(name) to->mc_##name = (register_t)regs->name;
    EACH_NAME(SET)
#undef SET
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    *code = (uint64_t)machine_of(context)->mc_cs & 0xffff;
    *stack = (uint64_t)machine_of(context)->mc_ss & 0xffff;
}

/* A handler has the thread's bases. */
__attribute__((hot)) void frame_get_bases(struct segue_regs *regs)
{
    void *fs = NULL, *gs = NULL;
    amd64_get_fsbase(&fs);
    amd64_get_gsbase(&gs);
    regs->fs_base = (uint64_t)(uintptr_t)fs;
    regs->gs_base = (uint64_t)(uintptr_t)gs;
}

/* The kernel clears the trap and direction flags alone. */
__attribute__((hot)) void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned. */
void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    const struct native_context *native = context;
    mcontext_t *machine = machine_of(context);
    unsigned char *area = native->state.is_gathered ? native->state.area : (unsigned char *)machine->mc_fpstate;
    machine->mc_rip = (register_t)instruction;
    machine->mc_rdi = (register_t)argument;
    machine->mc_rflags &= ~(register_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    memset(area + XSAVE_FSW, 0, 2);
    area[XSAVE_FTW] = 0;
    frame_scatter(context);
}

bool frame_allows_detour(const void *context)
{
    return !(frame_flags(context) & FLAG_TRAP);
}
