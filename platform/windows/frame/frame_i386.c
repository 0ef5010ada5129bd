/* frame_i386.c: the processor's half of an exception on i386: registers, and where CONTEXT has the legacy state: as
 * FXSAVE stores it, and that of x87 as FSAVE does, too. The system reads the former where it is there; both are
 * written.
 *
 * SOURCES: Microsoft, CONTEXT (winnt.h: CONTEXT_EXTENDED_REGISTERS, CONTEXT_FLOATING_POINT); ReactOS
 * sdk/include/ndk/i386 (the thread's block holds its own address at 18h). */
#if !defined(_WIN32) || !defined(__i386__)
#error "frame_i386.c is specific to Windows on i386"
#endif

#include "platform/frame/frame.h"

#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "native.h"
#include "platform/frame/fsave_i386.h"

_Static_assert(sizeof((CONTEXT){0}.ExtendedRegisters) == XSAVE_LEGACY_SIZE, "the legacy state");
_Static_assert(offsetof(FLOATING_SAVE_AREA, RegisterArea) == offsetof(struct fsave, registers), "an image of FSAVE");

/* clang-format off */
#define EACH_NAME(DO)                                                                                                  \
    DO(rax, Eax) DO(rbx, Ebx) DO(rcx, Ecx) DO(rdx, Edx) DO(rsi, Esi) DO(rdi, Edi) DO(rbp, Ebp) DO(rsp, Esp)            \
    DO(rip, Eip) DO(rflags, EFlags)
/* clang-format on */

static CONTEXT *thread_of(const void *context)
{
    return ((const struct native *)context)->thread;
}

/* ---- registers ---- */

uint64_t frame_instruction(const void *context)
{
    return thread_of(context)->Eip;
}

void frame_set_instruction(void *context, uint64_t rip)
{
    thread_of(context)->Eip = (DWORD)rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return thread_of(context)->Esp;
}

uint64_t frame_flags(const void *context)
{
    return thread_of(context)->EFlags;
}

void frame_get_general(const void *context, struct segue_regs *regs)
{
    const CONTEXT *from = thread_of(context);
#define GET(field, name) regs->field = from->name;
    EACH_NAME(GET)
#undef GET
    memset(&regs->r8, 0, offsetof(struct segue_regs, rip) - offsetof(struct segue_regs, r8));
}

/* Except for CS and SS the selectors are those of the handler, which shares them with the interrupted code. */
void frame_get_registers(const void *context, struct segue_regs *regs)
{
    frame_get_general(context, regs);
    frame_get_selectors(regs);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)thread_of(context)->SegCs;
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)thread_of(context)->SegSs;
}

void frame_set_registers(void *context, const struct segue_regs *regs)
{
    CONTEXT *to = thread_of(context);
#define SET(field, name) to->name = (DWORD)regs->field;
    EACH_NAME(SET)
#undef SET
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    *code = thread_of(context)->SegCs & 0xffff;
    *stack = thread_of(context)->SegSs & 0xffff;
}

/* FS leads to the thread's block. GS is not the program's, and no instruction of 32-bit code reads its base. */
void frame_get_bases(struct segue_regs *regs)
{
    regs->fs_base = (uintptr_t)NtCurrentTeb();
    regs->gs_base = 0;
}

uint64_t frame_clear_flags(uint64_t which)
{
    uint32_t flags;
    __asm__ volatile("pushfl\n\tpopl %0" : "=r"(flags));
    if (flags & which)
        __asm__ volatile("pushl %0\n\tpopfl" : : "r"(flags & ~(uint32_t)which) : "cc");
    return flags & which;
}

void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

/* ---- extended state ---- */

void *native_legacy(CONTEXT *thread)
{
    return thread->ExtendedRegisters;
}

void native_legacy_changed(CONTEXT *thread)
{
    struct fsave image;
    memcpy(&image, &thread->FloatSave, sizeof image);
    fsave_fill(&image, thread->ExtendedRegisters);
    memcpy(&thread->FloatSave, &image, sizeof image);
}

/* In assembly. */
extern const char native_continue[];

/* Not among winternl.h's. */
NTSTATUS NTAPI NtContinue(CONTEXT *context, BOOLEAN alertable);

/* The arguments of the system's own function are on the stack, where the handler may be: they are pushed by the
 * thread. */
void native_continue_by(CONTEXT *thread, const CONTEXT *copy)
{
    thread->Eip = (DWORD)(uintptr_t)native_continue;
    thread->Eax = (DWORD)(uintptr_t)copy;
    thread->Ecx = (DWORD)(uintptr_t)&NtContinue;
    thread->Esp = (thread->Esp & ~(DWORD)15) - 8;
}

/* ---- other ways to resume ---- */

/* The argument is in EAX (ctx/try/try_i386.S). The interrupted x87 or MMX computation is abandoned. */
void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    const struct native *native = context;
    CONTEXT *thread = native->thread;
    unsigned char *area = native->state.is_gathered ? native->state.area : native_legacy(thread);
    thread->Eip = (DWORD)instruction;
    thread->Eax = (DWORD)argument;
    thread->EFlags &= ~(DWORD)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    memset(area + XSAVE_FSW, 0, XSAVE_FTW + 1 - XSAVE_FSW);
    native_legacy_changed(thread);
    frame_scatter(context);
}

/* There are no such instructions for 32-bit code. */
bool frame_allows_detour(const void *context)
{
    (void)context;
    return false;
}
