/* frame_x86_64.c: the processor's half of an exception on x86-64: registers and extended state. CONTEXT has the legacy
 * state in FXSAVE's format, and each further component where LocateXStateFeature says: they are gathered into an area
 * in the standard format, and scattered again.
 *
 * SOURCES: Microsoft, CONTEXT (winnt.h), "Working with XState Context"; Intel SDM volume 1, 13.4 (the area), 13.6 (what
 * is in use). ASSUMPTION: a component that the context's mask does not name is in its initial state. */
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
#ifndef CONTEXT_XSTATE
#define CONTEXT_XSTATE (CONTEXT_AMD64 | 0x40)
#endif
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

/* The system may keep fewer than the processor has: then the others belong to no thread. */
uint64_t frame_components(void)
{
    static uint64_t known;
    uint64_t components = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!components) {
        components = xsave_enabled() & GetEnabledXStateFeatures();
        __atomic_store_n(&known, components, __ATOMIC_RELAXED);
    }
    return components;
}

static void *part_of(CONTEXT *thread, unsigned component, uint32_t size)
{
    DWORD length = 0;
    void *part = LocateXStateFeature(thread, component, &length);
    return part && length >= size ? part : NULL;
}

/* Takes the lowest component from the set, and finds its place in an area. False if the area does not hold it. */
static bool take_lowest(const struct gathered *state, uint64_t *components, unsigned *component,
                        struct xsave_component *place)
{
    *component = (unsigned)__builtin_ctzll(*components);
    *components &= *components - 1;
    return xsave_find(*component, place) && place->offset + place->size <= state->size;
}

static void gather(struct native *context)
{
    CONTEXT *thread = context->thread;
    struct xsave_component place;
    DWORD64 mask = 0;
    uint64_t in_use = COMPONENTS_LEGACY;
    memcpy(context->state.area, &thread->FltSave, XSAVE_LEGACY_SIZE);
    memset(context->state.area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_END - XSAVE_LEGACY_SIZE);
    context->state.features = COMPONENTS_LEGACY;
    uint64_t components = frame_components() & ~COMPONENTS_LEGACY;
    if ((thread->ContextFlags & CONTEXT_XSTATE) != CONTEXT_XSTATE || !GetXStateFeaturesMask(thread, &mask))
        components = 0;
    for (unsigned i; components;) {
        const void *part =
            take_lowest(&context->state, &components, &i, &place) ? part_of(thread, i, place.size) : NULL;
        if (!part)
            continue;
        context->state.features |= UINT64_C(1) << i;
        memset(context->state.area + place.offset, 0, place.size);
        if (!(mask >> i & 1))
            continue;
        in_use |= UINT64_C(1) << i;
        memcpy(context->state.area + place.offset, part, place.size);
    }
    memcpy(context->state.area + XSAVE_XSTATE_BV, &in_use, sizeof in_use);
    context->state.is_gathered = true;
}

/* A component is written as one in use, also in its initial state. */
static void scatter(const struct native *context, uint64_t in_use, CONTEXT *thread)
{
    struct xsave_component place;
    DWORD64 mask = 0;
    memcpy(&thread->FltSave, context->state.area, XSAVE_LEGACY_SIZE);
    memcpy(&thread->MxCsr, context->state.area + XSAVE_MXCSR, sizeof thread->MxCsr);
    uint64_t components = context->state.features & ~COMPONENTS_LEGACY;
    if (!components)
        return;
    GetXStateFeaturesMask(thread, &mask);
    for (unsigned i; components;) {
        if (!take_lowest(&context->state, &components, &i, &place))
            continue;
        bool is_used = in_use >> i & 1;
        if (!is_used && !(mask >> i & 1))
            continue;
        void *part = part_of(thread, i, place.size);
        if (!part)
            continue;
        mask |= UINT64_C(1) << i;
        if (is_used)
            memcpy(part, context->state.area + place.offset, place.size);
        else
            memset(part, 0, place.size);
    }
    SetXStateFeaturesMask(thread, mask);
}

/* ---- a thread that has pushed ---- */

/* The most bytes by which one instruction lowers the stack pointer while it pushes: ENTER's 31 frame pointers and its
 * frame. */
#define PUSHED_MOST (33u * 8 + 0xffff)

/* The system puts the thread's state right below its stack pointer, and there a stepped instruction pushes. The part
 * that is there is no longer needed, since it was gathered before; but it must not be written back. What pushes changes
 * no vectors: so the two differ only then. */
static bool has_pushed_over_state(const struct native *context)
{
    const CONTEXT *thread = context->thread;
    struct xsave_component place;
    if (thread->Rsp >= context->stack_pointer || context->stack_pointer - thread->Rsp > PUSHED_MOST)
        return false;
    uint64_t components = context->state.features & ~COMPONENTS_LEGACY;
    for (unsigned i; components;) {
        if (!take_lowest(&context->state, &components, &i, &place))
            continue;
        const unsigned char *part = part_of(context->thread, i, place.size);
        uint64_t address = (uint64_t)(uintptr_t)part;
        if (address < context->stack_pointer && thread->Rsp < address + place.size &&
            memcmp(part, context->state.area + place.offset, place.size) != 0)
            return true;
    }
    return false;
}

/* Room for a CONTEXT with all that the area holds. */
#define COPY_SIZE 8192

/* The thread's own, for the way from the handler's return to the second of two continuations. */
static __thread struct {
    _Alignas(64) unsigned char bytes[COPY_SIZE];
} copy_room;

static CONTEXT *copy_of(CONTEXT *thread)
{
    CONTEXT *copy;
    DWORD size = sizeof copy_room.bytes, flags = thread->ContextFlags;
    if (!InitializeContext(copy_room.bytes, flags, &copy, &size) || !CopyContext(copy, flags, thread))
        return NULL;
    return copy;
}

/* The thread continues in a function of the system that restores another context: a copy elsewhere. The function's
 * stack is below what was pushed. False if it cannot be copied. */
static bool continue_by_copy(struct native *context, uint64_t in_use)
{
    CONTEXT *thread = context->thread, *copy = copy_of(thread);
    if (!copy)
        return false;
    scatter(context, in_use, copy);
    /* Whoever stops the thread until the handler returns reads the copy. */
    context->thread = copy;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.leaves_at = (thread->Rsp & ~UINT64_C(15)) - 8;
    thread->Rip = (uint64_t)(uintptr_t)&RtlRestoreContext;
    thread->Rcx = (uint64_t)(uintptr_t)copy;
    thread->Rdx = 0;
    thread->Rsp = (thread->Rsp & ~UINT64_C(15)) - 8;
    thread->EFlags &= ~(DWORD)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    return true;
}

void native_close(struct native *context, bool goes_on)
{
    uint64_t in_use;
    if (!context->state.is_gathered)
        return;
    memcpy(&in_use, context->state.area + XSAVE_XSTATE_BV, sizeof in_use);
    xsave_fill_initial(context->state.area, in_use);
    if (!goes_on || !has_pushed_over_state(context) || !continue_by_copy(context, in_use))
        scatter(context, in_use, context->thread);
}

void frame_scatter(void *context)
{
    native_close(context, true);
}

__attribute__((hot)) struct gathered *frame_gather(const void *context)
{
    struct native *native = (struct native *)(uintptr_t)context;
    if (!native->state.is_gathered && native->state.area)
        gather(native);
    return &native->state;
}

/* What the system saves of the thread, and the dispatcher's own. */
size_t frame_size_most(void)
{
    return sizeof(CONTEXT) + sizeof(EXCEPTION_RECORD) + xsave_area_size() + sizeof(struct native_handler);
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
