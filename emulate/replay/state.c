/* state.c: the extended state that a replay runs with: which components the instruction needs, how they are loaded and
 * stored, and the fields in it that the stub changes to its own address.
 *
 * SOURCES: Intel SDM volume 1, 13.4 to 13.8 (XSAVE area, XSAVE, XRSTOR: components beyond those asked for stay as they
 * are), 8.1.8 (x87 opcode and pointers). ASSUMPTION: the operating system does not change XCR0. */
#include "state.h"

#include <string.h>

#include "decode/host.h"
#include "decode/orders.h"
#include "decode/segments.h"
#include "decode/x86/compiler/cpuid_leaf.h"
#include "emulate/details.h"
#include "platform/frame/frame.h"

#define ENDBR64_SIZE 4
/* Invalid, denormal, division by zero, overflow, underflow. */
#define X87_EXCEPTIONS_BEFORE_STORE 0x1f

/* The components that the system keeps, and whether XSAVE can be used; without it a frame holds
 * FXSAVE's area, which has no header. */
static uint64_t enabled_components;
static bool has_xsave;

/* Those of them that can be loaded and stored by moves; x87 only while it is in use. */
static uint64_t movable_components;

uint64_t state_popfq = UINT64_MAX;

static bool has_sahf(void)
{
    struct cpuid of;
    return cpuid_find(0x80000001, 0, &of) && (of.ecx & bit_LAHF_LM);
}

__attribute__((hot)) void state_prepare(void)
{
    uint64_t components = frame_components();
    __atomic_store_n(&has_xsave, components != 0, __ATOMIC_RELAXED);
    __atomic_store_n(&enabled_components, components ? components : COMPONENTS_LEGACY, __ATOMIC_RELAXED);
    /* The moves are 64-bit code. */
    __atomic_store_n(&movable_components, HOST_MODE == SEGUE_MODE_64 ? xsave_movable() & components : 0,
                     __ATOMIC_RELAXED);
    if (has_sahf())
        __atomic_store_n(&state_popfq, FLAG_DIRECTION | FLAG_ALIGNMENT, __ATOMIC_RELAXED);
}

static uint64_t enabled(void)
{
    return __atomic_load_n(&enabled_components, __ATOMIC_RELAXED);
}

size_t state_fixed_size(void)
{
    return __atomic_load_n(&has_xsave, __ATOMIC_RELAXED) ? XSAVE_HEADER_END : XSAVE_LEGACY_SIZE;
}

__attribute__((hot)) const char *state_refusal(const struct segue_plan *plan, const struct segue_regs *regs,
                                               const struct segue_xstate *xstate)
{
    uint64_t needed = orders_of(&plan->insn)->relocation.state & enabled();
    if (plan->insn.memory[0].addressing == SEGUE_ADDRESSING_STATE &&
        (((regs->rdx << 32) | (uint32_t)regs->rax) & enabled() & ~(uint64_t)0xff))
        return "it saves or loads state of which the handler has its own (PKRU, tiles)";
    if (!xstate || !xstate->area || xstate->size < state_fixed_size() || (needed & ~xstate->features))
        return segue_unlisted_text(SEGUE_UNLISTED_XSTATE);
    if ((uintptr_t)xstate->area % XSAVE_ALIGNMENT)
        return "the XSAVE area that was given is not aligned";
    if (state_fixed_size() == XSAVE_LEGACY_SIZE)
        return NULL;
    uint64_t compaction;
    memcpy(&compaction, (const char *)xstate->area + XSAVE_XCOMP_BV, sizeof compaction);
    return compaction ? "the vector state that was given is in the compacted format" : NULL;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    while (size && !*bytes)
        bytes++, size--;
    return size == 0;
}

/* XSAVE records which components are in use in XSTATE_BV, and may omit those in their initial state. In a signal frame
 * the kernel always marks x87 and SSE as in use. So a component with its initial values counts as not in use here. The
 * processor might have had it in use after other values; the frame does not record that. */
static void note_unused(uint8_t *area)
{
    uint16_t control;
    uint64_t in_use;
    memcpy(&control, area + XSAVE_FCW, sizeof control);
    memcpy(&in_use, area + XSAVE_XSTATE_BV, sizeof in_use);
    if (control == FCW_INITIAL && is_zero(area + XSAVE_FSW, XSAVE_MXCSR - XSAVE_FSW) &&
        is_zero(area + XSAVE_ST, XSAVE_ST_END - XSAVE_ST))
        in_use &= ~COMPONENT_X87;
    if (is_zero(area + XSAVE_XMM, XSAVE_XMM_END - XSAVE_XMM))
        in_use &= ~COMPONENT_SSE;
    memcpy(area + XSAVE_XSTATE_BV, &in_use, sizeof in_use);
}

/* NULL for a component that the instruction does not use. */
__attribute__((hot)) static void *component_in(const struct replay_context *context, unsigned component)
{
    struct xsave_component place;
    if (!(context->components & STATE_BIT(component)) || !xsave_find(component, &place))
        return NULL;
    return (char *)context->area + place.offset;
}

/* Instructions that save or load state depend on which components the processor counts as in use, which moves would
 * change. */
static uint64_t choose_way(const struct replay *replay)
{
    const struct replay_context *context = &replay->context;
    uint64_t in_use;
    if (state_fixed_size() == XSAVE_LEGACY_SIZE)
        return STATE_BY_FXSAVE;
    if (replay->plan->insn.memory[0].addressing == SEGUE_ADDRESSING_STATE ||
        context->components & ~__atomic_load_n(&movable_components, __ATOMIC_RELAXED))
        return STATE_BY_XSAVE;
    memcpy(&in_use, (const char *)context->area + XSAVE_XSTATE_BV, sizeof in_use);
    return context->components & ~in_use & COMPONENT_X87 ? STATE_BY_XSAVE : STATE_BY_MOVES;
}

__attribute__((hot)) void state_load(struct replay *replay)
{
    struct replay_context *context = &replay->context;
    context->components = orders_of(&replay->plan->insn)->relocation.state & enabled();
    context->area = context->components ? replay->xstate->area : NULL;
    if (!context->area)
        return;
    context->state_by = choose_way(replay);
    if (context->state_by == STATE_BY_FXSAVE) {
        /* FXRSTOR and FXSAVE move both components. */
        context->components = COMPONENTS_LEGACY;
        return;
    }
    if (replay->plan->insn.memory[0].addressing == SEGUE_ADDRESSING_STATE)
        note_unused(context->area);
    if (context->state_by != STATE_BY_MOVES)
        return;
    context->ymm_upper = component_in(context, STATE_AVX);
    context->opmask = component_in(context, STATE_OPMASK);
    context->zmm_upper = component_in(context, STATE_ZMM_HI256);
    context->zmm_high = component_in(context, STATE_HI16_ZMM);
}

/* The pointers have 64 bits in 64-bit code; in 32-bit code 32, and a selector beside them. */
void state_restore_x87_pointers(const struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    char *area = replay->context.area;
    uintptr_t instruction, data, stub = (uintptr_t)replay->context.code + ENDBR64_SIZE;
    memcpy(&instruction, area + XSAVE_FIP, sizeof instruction);
    if (instruction != stub)
        return;
    instruction = (uintptr_t)replay->regs->rip;
    memcpy(area + XSAVE_FIP, &instruction, sizeof instruction);
    area[XSAVE_FOP] = (char)orders_of(insn)->relocation.modrm;
    memcpy(&data, area + XSAVE_FDP, sizeof data);
    if (data != (uintptr_t)replay->loaded[0])
        return;
    data = (uintptr_t)(details_of(replay->plan)->operand - segment_base(replay->regs, insn->memory[0].segment));
    memcpy(area + XSAVE_FDP, &data, sizeof data);
    /* A processor that does not keep selectors stores 0. */
    uint16_t selector;
    memcpy(&selector, area + XSAVE_FDP + sizeof(uint32_t), sizeof selector);
    if (sizeof data == sizeof(uint32_t) && selector)
        memcpy(area + XSAVE_FDP + sizeof data, &replay->regs->selectors[insn->memory[0].segment], sizeof selector);
}

bool state_has_stored(const struct replay *replay)
{
    const uint8_t *area = replay->context.area;
    if (!(replay->context.components & COMPONENT_X87) || replay->plan->insn.class_ != SEGUE_CLASS_X87)
        return true;
    return !(area[XSAVE_FSW] & ~area[XSAVE_FCW] & X87_EXCEPTIONS_BEFORE_STORE);
}
