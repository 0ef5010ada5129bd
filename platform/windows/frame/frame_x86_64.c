/* frame_x86_64.c: the processor's half of an exception on x86-64: registers, and where CONTEXT has the legacy state.
 *
 * SOURCES: Microsoft, CONTEXT (winnt.h). */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "frame_x86_64.c is specific to Windows on x86-64"
#endif

#include "platform/frame/frame.h"

#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "native.h"

/* Not in the headers of mingw-w64 10. */
#ifndef PF_RDWRFSGSBASE_AVAILABLE
#define PF_RDWRFSGSBASE_AVAILABLE 22
#endif

/* clang-format off */
#define EACH_NAME(DO)                                                                                                  \
    DO(rax, Rax) DO(rbx, Rbx) DO(rcx, Rcx) DO(rdx, Rdx) DO(rsi, Rsi) DO(rdi, Rdi) DO(rbp, Rbp) DO(rsp, Rsp)            \
    DO(r8, R8) DO(r9, R9) DO(r10, R10) DO(r11, R11) DO(r12, R12) DO(r13, R13) DO(r14, R14) DO(r15, R15) DO(rip, Rip)
/* clang-format on */

static CONTEXT *thread_of(const void *context)
{
    return ((const struct native *)context)->thread;
}

/* ---- registers ---- */

__attribute__((hot)) uint64_t frame_instruction(const void *context)
{
    return thread_of(context)->Rip;
}

void frame_set_instruction(void *context, uint64_t rip)
{
    thread_of(context)->Rip = rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return thread_of(context)->Rsp;
}

__attribute__((hot)) uint64_t frame_flags(const void *context)
{
    return thread_of(context)->EFlags;
}

__attribute__((hot)) void frame_get_general(const void *context, struct segue_regs *regs)
{
    const CONTEXT *from = thread_of(context);
#define GET(field, name) regs->field = from->name;
    EACH_NAME(GET)
#undef GET
    regs->rflags = from->EFlags;
}

/* Wine fills in selectors of DS and ES that are not in force. Except for CS and SS they are those of the handler, which
 * shares them with the interrupted code. */
__attribute__((hot)) void frame_get_registers(const void *context, struct segue_regs *regs)
{
    frame_get_general(context, regs);
    frame_get_selectors(regs);
    regs->selectors[SEGUE_SEGMENT_CS] = thread_of(context)->SegCs;
    regs->selectors[SEGUE_SEGMENT_SS] = thread_of(context)->SegSs;
}

__attribute__((hot)) void frame_set_registers(void *context, const struct segue_regs *regs)
{
    CONTEXT *to = thread_of(context);
#define SET(field, name) to->name = regs->field;
    EACH_NAME(SET)
#undef SET
    to->EFlags = (DWORD)regs->rflags;
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    *code = thread_of(context)->SegCs;
    *stack = thread_of(context)->SegSs;
}

/* GS leads to the thread's block, which holds its own address. FS is not the program's: its base can be read only by an
 * instruction. */
__attribute__((hot)) void frame_get_bases(struct segue_regs *regs)
{
    regs->gs_base = (uint64_t)(uintptr_t)NtCurrentTeb();
    regs->fs_base = 0;
    enum { UNKNOWN, NO, YES };
    static uint8_t answer;
    uint8_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = IsProcessorFeaturePresent(PF_RDWRFSGSBASE_AVAILABLE) ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    if (known == YES)
        __asm__ volatile("rdfsbase %0" : "=r"(regs->fs_base));
}

uint64_t frame_clear_flags(uint64_t which)
{
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    if (flags & which)
        __asm__ volatile("pushq %0\n\tpopfq" : : "r"(flags & ~which) : "cc");
    return flags & which;
}

__attribute__((hot)) void frame_begin(void)
{
    frame_clear_flags(FLAG_ALIGNMENT);
}

/* ---- extended state ---- */

void *native_legacy(CONTEXT *thread)
{
    return &thread->FltSave;
}

void native_legacy_changed(CONTEXT *thread)
{
    thread->MxCsr = thread->FltSave.MxCsr;
}

/* The function of the system has the copy and nothing else as its arguments. */
void native_continue_by(CONTEXT *thread, const CONTEXT *copy)
{
    thread->Rip = (uint64_t)(uintptr_t)&RtlRestoreContext;
    thread->Rcx = (uint64_t)(uintptr_t)copy;
    thread->Rdx = 0;
    thread->Rsp = (thread->Rsp & ~UINT64_C(15)) - 8;
}

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned. */
void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    const struct native *native = context;
    CONTEXT *thread = native->thread;
    unsigned char *area = native->state.is_gathered ? native->state.area : (unsigned char *)&thread->FltSave;
    thread->Rip = instruction;
    thread->Rdi = argument;
    thread->EFlags &= ~(DWORD)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    memset(area + XSAVE_FSW, 0, 2);
    area[XSAVE_FTW] = 0;
    frame_scatter(context);
}

bool frame_allows_detour(const void *context)
{
    return !(thread_of(context)->EFlags & FLAG_TRAP);
}
