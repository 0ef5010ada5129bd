/* frame_x86_64.c: the processor's half of a frame on x86-64: registers and extended state. A float state has the image
 * of FXSAVE behind two words; in an AVX state the upper halves of YMM follow, and in an AVX-512 state the mask
 * registers, the upper halves of ZMM0 to ZMM15, and ZMM16 to ZMM31. They are gathered into an area in the standard
 * format, and scattered again.
 *
 * SOURCES: Apple's header mach/i386/_structs.h; XNU osfmk/i386/fpu.c (the state is copied from the kernel's own XSAVE
 * area, with what is initial filled in); Intel SDM volume 1, 13.4 (the area), 13.6 (what is in use). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "frame_x86_64.c is specific to macOS on x86-64"
#endif

#include "platform/frame/frame.h"

#include <signal.h>
#include <string.h>
#include <sys/ucontext.h>

#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "native.h"
#include "platform/darwin/threads/slots.h"

/* clang-format off */
#define EACH_NAME(DO)                                                                                                  \
    DO(rax) DO(rbx) DO(rcx) DO(rdx) DO(rsi) DO(rdi) DO(rbp) DO(rsp) DO(r8) DO(r9) DO(r10) DO(r11) DO(r12) DO(r13)      \
    DO(r14) DO(r15) DO(rip) DO(rflags)
/* clang-format on */

static x86_thread_state64_t *general_of(const void *context)
{
    return ((const struct native_context *)context)->general;
}

/* ---- registers ---- */

__attribute__((hot)) uint64_t frame_instruction(const void *context)
{
    return general_of(context)->__rip;
}

void frame_set_instruction(void *context, uint64_t rip)
{
    general_of(context)->__rip = rip;
}

uint64_t frame_stack_pointer(const void *context)
{
    return general_of(context)->__rsp;
}

__attribute__((hot)) uint64_t frame_flags(const void *context)
{
    return general_of(context)->__rflags;
}

__attribute__((hot)) void frame_get_general(const void *context, struct segue_regs *regs)
{
    const x86_thread_state64_t *from = general_of(context);
#define GET(name) regs->name = from->__##name;
    EACH_NAME(GET)
#undef GET
}

__attribute__((hot)) void frame_get_registers(const void *context, struct segue_regs *regs)
{
    frame_get_general(context, regs);
    frame_get_selectors(regs);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)general_of(context)->__cs;
}

__attribute__((hot)) void frame_set_registers(void *context, const struct segue_regs *regs)
{
    x86_thread_state64_t *to = general_of(context);
#define SET(name) to->__##name = regs->name;
    EACH_NAME(SET)
#undef SET
}

void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack)
{
    uint16_t own;
    __asm__("movw %%ss, %0" : "=r"(own));
    *code = general_of(context)->__cs;
    *stack = own;
}

/* A program has no means to set the base of FS. */
__attribute__((hot)) void frame_get_bases(struct segue_regs *regs)
{
    regs->fs_base = 0;
    regs->gs_base = slots_gs_base();
}

/* The system clears the flags before it calls a handler. */
__attribute__((hot)) void frame_begin(void)
{
}

/* ---- extended state ---- */

/* Where the parts of a state begin. */
#define STATE_LEGACY 8
#define STATE_YMM_UPPER offsetof(x86_avx_state64_t, __fpu_ymmh0)
#define STATE_MASKS offsetof(x86_avx512_state64_t, __fpu_k0)
#define STATE_ZMM_UPPER offsetof(x86_avx512_state64_t, __fpu_zmmh0)
#define STATE_ZMM_HIGH offsetof(x86_avx512_state64_t, __fpu_zmm16)
_Static_assert(STATE_LEGACY == offsetof(x86_float_state64_t, __fpu_fcw), "the image of FXSAVE begins there");
_Static_assert(offsetof(x86_float_state64_t, __fpu_xmm0) - STATE_LEGACY == XSAVE_XMM, "it has FXSAVE's layout");
_Static_assert(sizeof(x86_float_state64_t) == 524 && sizeof(x86_avx_state64_t) == 844 &&
                   sizeof(x86_avx512_state64_t) == 2444,
               "the sizes that tell the states apart");

/* A part beyond the legacy one. */
struct part {
    unsigned component;
    size_t at, size;
    /* The least size of a state that has it. */
    size_t least;
};
static const struct part parts[] = {
    {STATE_AVX, STATE_YMM_UPPER, 256, sizeof(x86_avx_state64_t)},
    {STATE_OPMASK, STATE_MASKS, 64, sizeof(x86_avx512_state64_t)},
    {STATE_ZMM_HI256, STATE_ZMM_UPPER, 512, sizeof(x86_avx512_state64_t)},
    {STATE_HI16_ZMM, STATE_ZMM_HIGH, 1024, sizeof(x86_avx512_state64_t)},
};
#define PARTS (sizeof parts / sizeof *parts)

static bool has_part(const struct native_context *context, const struct part *part, struct xsave_component *place)
{
    return context->vectors_size >= part->least && xsave_find(part->component, place) && place->size == part->size &&
           place->offset + place->size <= GATHERED_SIZE;
}

static void gather(struct native_context *context)
{
    struct xsave_component place;
    memcpy(context->state.area, context->vectors + STATE_LEGACY, XSAVE_LEGACY_SIZE);
    memset(context->state.area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_END - XSAVE_LEGACY_SIZE);
    context->state.features = COMPONENTS_LEGACY;
    for (size_t i = 0; i < PARTS; i++) {
        if (!has_part(context, &parts[i], &place))
            continue;
        memcpy(context->state.area + place.offset, context->vectors + parts[i].at, place.size);
        context->state.features |= STATE_BIT(parts[i].component);
    }
    memcpy(context->state.area + XSAVE_XSTATE_BV, &context->state.features, sizeof context->state.features);
    context->state.is_gathered = true;
}

void native_close(struct native_context *context)
{
    struct xsave_component place;
    uint64_t in_use;
    if (!context->state.is_gathered)
        return;
    memcpy(&in_use, context->state.area + XSAVE_XSTATE_BV, sizeof in_use);
    xsave_fill_initial(context->state.area, in_use);
    memcpy(context->vectors + STATE_LEGACY, context->state.area, XSAVE_SOFTWARE);
    for (size_t i = 0; i < PARTS; i++) {
        if (!has_part(context, &parts[i], &place))
            continue;
        if (in_use & STATE_BIT(parts[i].component))
            memcpy(context->vectors + parts[i].at, context->state.area + place.offset, place.size);
        else
            memset(context->vectors + parts[i].at, 0, place.size);
    }
}

void frame_scatter(void *context)
{
    native_close(context);
}

__attribute__((hot)) struct gathered *frame_gather(const void *context)
{
    struct native_context *native = (struct native_context *)(uintptr_t)context;
    if (!native->state.is_gathered && native->state.area)
        gather(native);
    return &native->state;
}

/* What the system writes on the handler's stack (a red zone, two contexts, siginfo), and the library's own. */
size_t frame_size_most(void)
{
    return 128 + sizeof(ucontext_t) + sizeof(siginfo_t) + sizeof(struct __darwin_mcontext_avx512_64) + 256 +
           sizeof(struct native_context) + sizeof(struct gathered_room) + sizeof(struct native_info);
}

/* A thread has AVX-512 from its first use of it on: before that its XCR0 lacks it, and so does its frame. ASSUMPTION:
 * what the processor has beyond these components, the system does not keep. */
uint64_t frame_components(void)
{
    return xsave_enabled_here() & (COMPONENTS_LEGACY_AVX | COMPONENTS_AVX512);
}

/* ---- other ways to resume ---- */

/* The interrupted x87 or MMX computation is abandoned. */
void frame_call(void *context, uint64_t instruction, uint64_t argument)
{
    const struct native_context *native = context;
    x86_thread_state64_t *general = native->general;
    unsigned char *area = native->state.is_gathered ? native->state.area : native->vectors + STATE_LEGACY;
    general->__rip = instruction;
    general->__rdi = argument;
    general->__rflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    memset(area + XSAVE_FSW, 0, 2);
    area[XSAVE_FTW] = 0;
    frame_scatter(context);
}

bool frame_allows_detour(const void *context)
{
    return !(general_of(context)->__rflags & FLAG_TRAP);
}
