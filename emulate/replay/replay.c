/* replay.c: the engine that runs the instruction itself, with its memory led elsewhere.
 *
 * The instruction's redirection stands in a stub. It is called with the thread's general registers and flags, and with
 * those components of its extended state that it touches; but a register that no one misses holds the address where
 * the memory can be reached, and RSP is never the thread's. So everything but addresses is the processor's own doing.
 * Where the memory cannot be reached in one piece, it is copied to a place that is aligned alike, and back.
 *
 * SOURCES: Intel SDM volume 1, 13.4 to 13.8 (XSAVE area, XSAVE, XRSTOR: components beyond those asked for stay as they
 * are), 8.1.8 (x87 opcode and pointers), 7.3.9 (strings). ASSUMPTIONS: what the operating system enabled in XCR0 does
 * not change. */
#include "replay.h"

#include <cpuid.h>
#include <stddef.h>
#include <string.h>

#include "decode/accesses/accesses.h"
#include "decode/relocate/redirect.h"
#include "decode/x86/flags.h"
#include "decode/segments.h"
#include "decode/x86/canonical.h"
#include "emulate/addresses.h"
#include "decode/x86/vendors.h"
#include "decode/x86/xsave.h"
#include "emulate/elements/lanes.h"
#include "emulate/engines/engines.h"
#include "emulate/parts.h"
#include "emulate/pieces.h"
#include "emulate/plan.h"
#include "emulate/scratch.h"
#include "stubs.h"

/* CF PF AF ZF SF DF OF AC: what the instruction may see and change. Not TF: a trap in the stub would be ours. */
#define FLAGS_LOADED (FLAGS_ARITHMETIC | FLAG_DIRECTION | FLAG_ALIGNMENT)
#define PREFIX_REPNE 0xf2
#define PREFIX_REP 0xf3
#define ENDBR64_SIZE 4

/* Invalid, denormal, division by zero, overflow, underflow. */
#define X87_EXCEPTIONS_BEFORE_STORE 0x1f
/* More than any state area or x87 operand has, but for tiles. */
#define STATE_MOST 4096u

extern const char replay_load[], replay_loaded[], replay_not_loaded[], replay_faulted[];

_Static_assert(offsetof(struct replay_context, general) == 0, "replay.h");
_Static_assert(offsetof(struct replay_context, rflags) == REPLAY_RFLAGS, "replay.h");
_Static_assert(offsetof(struct replay_context, code) == REPLAY_CODE, "replay.h");
_Static_assert(offsetof(struct replay_context, area) == REPLAY_AREA, "replay.h");
_Static_assert(offsetof(struct replay_context, components) == REPLAY_COMPONENTS, "replay.h");
_Static_assert(offsetof(struct replay_context, state_by) == REPLAY_STATE_BY, "replay.h");
_Static_assert(offsetof(struct replay_context, ymm_upper) == REPLAY_YMM_UPPER, "replay.h");
_Static_assert(offsetof(struct replay_context, opmask) == REPLAY_OPMASK, "replay.h");
_Static_assert(offsetof(struct replay_context, zmm_upper) == REPLAY_ZMM_UPPER, "replay.h");
_Static_assert(offsetof(struct replay_context, zmm_high) == REPLAY_ZMM_HIGH, "replay.h");
_Static_assert(offsetof(struct replay_context, popfq_flags) == REPLAY_POPFQ_FLAGS, "replay.h");
_Static_assert(SEGUE_RDI == 5 && SEGUE_RSP == 7 && SEGUE_R15 == 15, "replay_x86_64.S");

/* What the operating system has enabled, and whether XSAVE can be used; where it cannot, a frame holds FXSAVE's area,
 * which has no header. */
static uint64_t enabled_components;
static bool has_xsave;

/* Those of them that can be loaded and stored by moves; x87 as long as it is in use. */
static uint64_t movable_components;

/* Flags that are loaded by POPFQ alone: all where the processor has no SAHF in 64 bits. */
static uint64_t popfq_flags = UINT64_MAX;

static bool has_sahf(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & bit_LAHF_LM);
}

enum segue_status replay_prepare(void)
{
    uint64_t components = xsave_enabled();
    /* So that no handler has to ask the system. */
    canonical_bits();
    __atomic_store_n(&has_xsave, components != 0, __ATOMIC_RELAXED);
    __atomic_store_n(&enabled_components, components ? components : COMPONENTS_LEGACY, __ATOMIC_RELAXED);
    __atomic_store_n(&movable_components, xsave_movable(), __ATOMIC_RELAXED);
    if (has_sahf())
        __atomic_store_n(&popfq_flags, FLAG_DIRECTION | FLAG_ALIGNMENT, __ATOMIC_RELAXED);
    return stubs_prepare();
}

static uint64_t enabled(void)
{
    return __atomic_load_n(&enabled_components, __ATOMIC_RELAXED);
}

/* Bytes of an area that every instruction's state has: the legacy region, and the header where there is one. */
static size_t fixed_size(void)
{
    return __atomic_load_n(&has_xsave, __ATOMIC_RELAXED) ? XSAVE_HEADER_END : XSAVE_LEGACY_SIZE;
}

bool replay_recover(uint64_t *rip)
{
    const char *way_out;
    if (stubs_are_back(*rip))
        return true;
    if (stubs_contain(*rip))
        way_out = replay_faulted;
    else if (*rip >= (uint64_t)(uintptr_t)replay_load && *rip < (uint64_t)(uintptr_t)replay_loaded)
        way_out = replay_not_loaded;
    else
        return false;
    *rip = (uint64_t)(uintptr_t)way_out;
    return true;
}

static bool is_repeated(const struct segue_insn *insn)
{
    return insn->memory[0].flags & SEGUE_ACCESS_REPEATED;
}

static bool is_string(const struct segue_memory_operand *memory)
{
    return memory->addressing == SEGUE_ADDRESSING_STRING;
}

/* Its address has a part that is not the operand's own: it counts as the operand that is accessed. */
static bool starts_at_access(const struct segue_memory_operand *memory)
{
    return memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET || memory->addressing == SEGUE_ADDRESSING_TABLE ||
           memory->addressing == SEGUE_ADDRESSING_CACHE_LINE;
}

/* REPNE ends at equality, REPE and REP at its opposite. The last of the two prefixes counts. */
static bool repeats_until_equal(const struct segue_insn *insn)
{
    bool until_equal = false;
    for (unsigned i = 0; i < insn->redirection.length; i++)
        if (insn->redirection.bytes[i] == PREFIX_REPNE || insn->redirection.bytes[i] == PREFIX_REP)
            until_equal = insn->redirection.bytes[i] == PREFIX_REPNE;
    return until_equal;
}

/* Why the components that the instruction needs cannot be had; NULL if they can. */
static const char *state_refusal(const struct segue_plan *plan, const struct segue_regs *regs,
                                 const struct segue_xstate *xstate)
{
    uint64_t needed = plan->insn.redirection.state & enabled();
    if (!plan->insn.redirection.state)
        return NULL;
    if (plan->insn.memory[0].addressing == SEGUE_ADDRESSING_STATE &&
        (((regs->rdx << 32) | (uint32_t)regs->rax) & enabled() & ~(uint64_t)0xff))
        return "it saves or loads state that the handler has of its own";
    if (!xstate || !xstate->area || xstate->size < fixed_size() || (needed & ~xstate->features))
        return segue_unlisted_text(SEGUE_UNLISTED_XSTATE);
    if ((uintptr_t)xstate->area % XSAVE_ALIGNMENT)
        return "the vector state that was given is not aligned";
    if (fixed_size() == XSAVE_LEGACY_SIZE)
        return NULL;
    uint64_t compaction;
    memcpy(&compaction, (const char *)xstate->area + XSAVE_XCOMP_BV, sizeof compaction);
    return compaction ? "the vector state that was given is in the compacted format" : NULL;
}

/* Operands that the processor accesses in several parts are truncated part by part: over the end of 32 bits of address
 * the next part is at the beginning. */
static bool wraps_parts(const struct segue_plan *plan, const struct segue_regs *regs)
{
    const struct segue_insn *insn = &plan->insn;
    const struct segue_memory_operand *memory = &insn->memory[0];
    bool has_parts = insn->class_ == SEGUE_CLASS_X87 || insn->class_ == SEGUE_CLASS_STATE ||
                     memory->masking != SEGUE_MASKING_NONE || memory->size > 8;
    /* Lanes are truncated each for itself. */
    if (memory->addressing == SEGUE_ADDRESSING_VECTOR)
        return false;
    uint64_t size = insn->class_ == SEGUE_CLASS_STATE ? STATE_MOST : memory->size;
    uint64_t offset = plan->operand - segment_base(regs, memory->segment);
    return insn->address_size == 4 && has_parts && offset + size > UINT64_C(1) << 32;
}

const char *replay_refusal(struct segue_plan *plan, const struct segue_regs *regs, const struct segue_xstate *xstate)
{
    const struct segue_insn *insn = &plan->insn;
    const char *why = engines_insn_refusal(insn);
    if (why)
        return why;
    if (insn->mode != SEGUE_MODE_64)
        return "it is 32-bit code, which runs in 64 bits otherwise";
    redirect_complete(&plan->insn);
    if (insn->redirection.kind == SEGUE_REDIRECTION_NONE)
        return "no engine does this instruction";
    if (!stubs_ready())
        return "it must be run from executable memory, and there is none";
    if (regs->rflags & FLAG_TRAP)
        plan->flags |= SEGUE_PLAN_TRAPS;
    if (regs->rflags & FLAG_ALIGNMENT)
        plan->flags |= SEGUE_PLAN_ALIGNMENT_CHECKED;
    plan->operand = starts_at_access(&insn->memory[0]) ? plan->accesses[0].address : accesses_operand(insn, regs, 0);
    if (wraps_parts(plan, regs))
        return "its operand goes on at the other end of the address space";
    return state_refusal(plan, regs, xstate);
}

struct replay_place replay_place_of(const struct segue_plan *plan, unsigned operand)
{
    struct replay_place place = {.is_native = false};
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        uint64_t distance = (uint64_t)(uintptr_t)piece->host - piece->address;
        if (plan->accesses[piece->access].operand != operand)
            continue;
        if (!piece_is_native(piece) || (place.is_native && distance != place.distance))
            return (struct replay_place){.is_native = false};
        place = (struct replay_place){.is_native = true, .distance = distance};
    }
    return place;
}

/* An opmask says what is stored, but not what is faulted on: a copy would be stored whole. */
static bool stores_masked(const struct segue_plan *plan)
{
    const uint8_t both = COMPONENT_OPMASK | COMPONENT_SSE;
    const struct segue_memory_operand *memory = &plan->insn.memory[0];
    return (plan->insn.redirection.state & both) == both && (memory->direction & SEGUE_WRITE) &&
           memory->masking == SEGUE_MASKING_NONE;
}

/* Why the operand cannot be copied; NULL if it can. */
static const char *copy_refusal(const struct segue_plan *plan, const struct segue_memory_operand *memory)
{
    if (plan_is_atomic(plan))
        return "it is one indivisible operation, which this window cannot do";
    if (memory->addressing == SEGUE_ADDRESSING_STATE || (memory->size > REPLAY_COPY_MOST && !is_string(memory)))
        return "its operand is too large to be copied";
    if (addresses_end_beyond(plan))
        return "its operand goes on where there are no addresses";
    if (plan->insn.class_ == SEGUE_CLASS_NONE)
        return "it acts on the memory's own line of the cache, which this window cannot reach";
    if (stores_masked(plan) || (memory->probe && memory->masking == SEGUE_MASKING_OPMASK))
        return "it may fault on what it does not store";
    if (is_string(memory) && (plan->flags & SEGUE_PLAN_ALIGNMENT_CHECKED))
        return "alignment is checked, which is not told from missing memory in time";
    return NULL;
}

/* Whether the operand is copied. Whether repeated strings are, their elements say. */
static bool is_copied(const struct segue_plan *plan, unsigned operand)
{
    if (is_repeated(&plan->insn))
        return plan->flags & SEGUE_PLAN_COPIED;
    return !replay_place_of(plan, operand).is_native;
}

const char *replay_window_refusal(struct segue_plan *plan)
{
    for (unsigned i = 0; i < plan->insn.memory_count; i++) {
        if (!is_copied(plan, i))
            continue;
        const char *why = copy_refusal(plan, &plan->insn.memory[i]);
        if (why)
            return why;
        plan->flags |= SEGUE_PLAN_COPIED;
    }
    return NULL;
}

static uint64_t operand_address(const struct replay *replay, unsigned operand)
{
    const struct segue_plan *plan = replay->plan;
    /* A string's moves with the elements that are done. */
    return operand == 0 && !is_repeated(&plan->insn) ? plan->operand
                                                     : accesses_operand(&plan->insn, replay->regs, operand);
}

/* Makes room for a copy of the operand, of a repeated string for the elements of this run. Returns where `address`, the
 * first element's, is in it. */
static uint64_t make_copy(struct replay *replay, unsigned operand, uint64_t address)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[operand];
    uint64_t size = replay->elements ? replay->elements * memory->element : memory->size;
    bool down = replay->elements && (replay->regs->rflags & FLAG_DIRECTION);
    uint64_t lowest = down ? address - (size - memory->element) : address;
    uint8_t *copy = replay->buffers[operand] + lowest % REPLAY_COPY_ALIGNMENT;
    replay->copies.of.address[operand] = lowest;
    replay->copies.of.size[operand] = size;
    replay->copies.bytes[operand] = copy;
    return (uint64_t)(uintptr_t)copy + (address - lowest);
}

/* Where the instruction is to find the operand. */
static uint64_t redirect(struct replay *replay, unsigned operand)
{
    uint64_t address = operand_address(replay, operand);
    const struct replay_place *place = &replay->places[operand];
    return place->is_native ? address + place->distance : make_copy(replay, operand, address);
}

/* The register that the instruction takes the operand's address from. */
static unsigned base_of(const struct segue_insn *insn, unsigned operand)
{
    return insn->redirection.kind == SEGUE_REDIRECTION_OPERAND ? insn->redirection.base : insn->memory[operand].base;
}

static void set_addresses(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        uint64_t address = redirect(replay, i);
        /* XLAT adds its index again. */
        if (insn->memory[i].addressing == SEGUE_ADDRESSING_TABLE)
            address -= (uint8_t)segue_register_get(replay->regs, insn->memory[i].index);
        replay->loaded[i] = address;
        replay->context.general[base_of(insn, i)] = address;
    }
}

/* The register in place of RSP has its value; the one in place of a bit offset a bit's number within the operand. */
static void set_stand_in(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    const struct segue_memory_operand *memory = &insn->memory[0];
    if (insn->redirection.stand_in == SEGUE_REGISTER_NONE)
        return;
    uint64_t value = replay->regs->rsp;
    if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET)
        value = segue_register_get(replay->regs, memory->mask) & (8u * memory->size - 1);
    replay->context.general[insn->redirection.stand_in] = value;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    while (size && !*bytes)
        bytes++, size--;
    return size == 0;
}

/* What saves state tells of each component whether it is in use, and may leave one out that is not. The kernel notes
 * x87 and SSE in a signal's frame as in use always. So what has its initial values counts as not in use, which it need
 * not be where it had others before: nobody can tell from the frame. */
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

/* NULL for a component that the instruction does not touch. */
static void *component_in(const struct replay_context *context, unsigned component)
{
    struct xsave_component place;
    if (!(context->components & STATE_BIT(component)) || !xsave_find(component, &place))
        return NULL;
    return (char *)context->area + place.offset;
}

/* Instructions that save or load state go by what the processor counts as in use, which moves would change. */
static uint64_t choose_way(const struct replay *replay)
{
    const struct replay_context *context = &replay->context;
    uint64_t in_use;
    if (fixed_size() == XSAVE_LEGACY_SIZE)
        return STATE_BY_FXSAVE;
    if (replay->plan->insn.memory[0].addressing == SEGUE_ADDRESSING_STATE ||
        context->components & ~__atomic_load_n(&movable_components, __ATOMIC_RELAXED))
        return STATE_BY_XSAVE;
    memcpy(&in_use, (const char *)context->area + XSAVE_XSTATE_BV, sizeof in_use);
    return context->components & ~in_use & COMPONENT_X87 ? STATE_BY_XSAVE : STATE_BY_MOVES;
}

static void load_state(struct replay *replay)
{
    struct replay_context *context = &replay->context;
    context->components = replay->plan->insn.redirection.state & enabled();
    context->area = context->components ? replay->xstate->area : NULL;
    if (!context->area)
        return;
    context->state_by = choose_way(replay);
    if (context->state_by == STATE_BY_FXSAVE) {
        /* It moves both. */
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

void replay_begin(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    memcpy(replay->context.general, replay->regs, sizeof replay->context.general);
    replay->context.rflags = (replay->regs->rflags & FLAGS_LOADED) | FLAG_ALWAYS_SET;
    replay->context.popfq_flags = __atomic_load_n(&popfq_flags, __ATOMIC_RELAXED);
    load_state(replay);
    set_addresses(replay);
    set_stand_in(replay);
    if (is_repeated(insn))
        replay->context.general[SEGUE_RCX] = replay->elements;
}

/* A string's address register has moved with the elements. In 32 bits of address that is an assignment to a 32-bit
 * register, and so is the count's. */
static void store_string_registers(const struct replay *replay, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        unsigned base = base_of(insn, i);
        uint64_t *reg = segue_register_at(regs, base);
        *reg += replay->context.general[base] - replay->loaded[i];
        if (insn->address_size == 4)
            *reg = (uint32_t)*reg;
    }
}

static uint64_t count_before(const struct replay *replay)
{
    uint64_t count = replay->regs->rcx;
    return replay->plan->insn.address_size == 4 ? (uint32_t)count : count;
}

/* Whether the elements of this step were the last ones: there are no more, or what was compared ended it. */
static bool is_finished(const struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    if (!is_repeated(insn) || replay->elements == count_before(replay) || replay->context.general[SEGUE_RCX] != 0)
        return true;
    bool equal = replay->context.rflags & FLAG_ZERO;
    return (insn->flags & SEGUE_INSN_CONDITIONAL) && equal == repeats_until_equal(insn);
}

/* A comparison that goes on when it is executed again may fault then, and give back the flags that it begins with. */
static void forget_flags(struct replay *replay)
{
    if ((replay->plan->insn.flags & SEGUE_INSN_CONDITIONAL) && makers_restore_flags_of_repetition())
        replay->context.rflags = replay->regs->rflags;
}

static void store_count(const struct replay *replay, struct segue_regs *regs)
{
    regs->rcx = count_before(replay) - (replay->elements - replay->context.general[SEGUE_RCX]);
}

static void store_addresses(const struct replay *replay, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        unsigned base = base_of(insn, i);
        *segue_register_at(regs, base) = segue_register_get(replay->regs, base);
    }
    if (is_string(&insn->memory[0]))
        store_string_registers(replay, regs);
    if (is_repeated(insn))
        store_count(replay, regs);
}

/* What the thread has after the instruction. */
void replay_end(const struct replay *replay, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    uint8_t stand_in = insn->redirection.stand_in;
    struct segue_regs after = *replay->regs;
    memcpy(&after, replay->context.general, sizeof replay->context.general);
    after.rsp = replay->regs->rsp;
    after.rflags = (replay->regs->rflags & ~FLAGS_LOADED) | (replay->context.rflags & FLAGS_LOADED);
    store_addresses(replay, &after);
    if (stand_in != SEGUE_REGISTER_NONE) {
        if (insn->memory[0].addressing != SEGUE_ADDRESSING_BIT_OFFSET)
            after.rsp = replay->context.general[stand_in];
        *segue_register_at(&after, stand_in) = segue_register_get(replay->regs, stand_in);
    }
    *regs = after;
}

/* The x87 state names the last instruction and its operand: not the stub and not the place, but what they stand for. */
static void mend_x87_pointers(const struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    char *area = replay->context.area;
    uint64_t instruction, data, stub = (uint64_t)(uintptr_t)replay->context.code + ENDBR64_SIZE;
    if (!(replay->context.components & COMPONENT_X87))
        return;
    memcpy(&instruction, area + XSAVE_FIP, sizeof instruction);
    if (instruction != stub)
        return;
    memcpy(area + XSAVE_FIP, &replay->regs->rip, sizeof replay->regs->rip);
    area[XSAVE_FOP] = (char)insn->redirection.modrm;
    memcpy(&data, area + XSAVE_FDP, sizeof data);
    if (data != replay->loaded[0])
        return;
    data = replay->plan->operand - segment_base(replay->regs, insn->memory[0].segment);
    memcpy(area + XSAVE_FDP, &data, sizeof data);
}

/* The instruction faulted. What it has done by then stays done, as on the processor: exceptions that are noted in
 * MXCSR, elements of a string, lanes of a gather. */
static enum segue_status stop(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_insn *insn = &replay->plan->insn;
    bool moved = replay->context.general[base_of(insn, 0)] != replay->loaded[0];
    if (is_string(&insn->memory[0]) && moved)
        replay_end(replay, regs);
    if (is_repeated(insn)) {
        struct extents element;
        for (unsigned i = 0; i < insn->memory_count; i++) {
            element.address[i] = accesses_operand(insn, regs, i);
            element.size[i] = insn->memory[i].element;
        }
        pieces_find_fault(replay->plan, &element, fault);
    } else {
        pieces_find_fault(replay->plan, NULL, fault);
    }
    return SEGUE_FAULT;
}

/* Runs the stub; what it came to, of no meaning where there is none. */
static uint64_t run_stub(struct replay *replay, uint32_t holder)
{
    replay->context.code = stubs_hold(holder, &replay->plan->insn.redirection);
    uint64_t outcome = replay->context.code ? replay_enter(&replay->context) : REPLAY_DONE;
    stubs_let_go(holder);
    return outcome;
}

/* By whom no fault's number is. */
__attribute__((noinline)) static uint64_t run_stub_with_borrowed(struct replay *replay)
{
    _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
    uint32_t holder;
    replay->context.code = NULL;
    if (!stubs_borrow(&holder, &mark))
        return REPLAY_DONE;
    uint64_t outcome = run_stub(replay, holder);
    stubs_give_back(holder, &mark);
    return outcome;
}

enum segue_status replay_execute(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    uint64_t outcome =
        replay->holder == STEP_NO_HOLDER ? run_stub_with_borrowed(replay) : run_stub(replay, replay->holder);
    if (!replay->context.code)
        return SEGUE_BUSY;
    if (outcome == REPLAY_NOT_LOADED) {
        if (fault)
            *fault = (struct segue_fault){0};
        return SEGUE_FAULT;
    }
    mend_x87_pointers(replay);
    return outcome == REPLAY_DONE ? SEGUE_OK : stop(replay, regs, fault);
}

/* An x87 instruction that stores does not store where its exception is unmasked, unless it is the one for an inexact
 * result; it completes all the same, and the next one faults. */
static bool has_stored(const struct replay *replay)
{
    const uint8_t *area = replay->context.area;
    if (!(replay->context.components & COMPONENT_X87) || replay->plan->insn.class_ != SEGUE_CLASS_X87)
        return true;
    return !(area[XSAVE_FSW] & ~area[XSAVE_FCW] & X87_EXCEPTIONS_BEFORE_STORE);
}

/* Copies what is read, runs, and copies what is written; what may fail comes before what changes anything. A device is
 * asked last, when the state that it may take back is kept. */
static enum segue_status run_on_copies(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_plan *plan = replay->plan;
    void *area = replay->context.area;
    enum segue_status status = parts_are_looked_at_from_the_end(plan) ? pieces_look_at_end(plan, fault) : SEGUE_OK;
    if (status != SEGUE_OK)
        return status;
    /* What is written is looked at here, too. */
    if (!parts_of_x87_store(&plan->insn) || makers_probe_x87_store())
        status = pieces_read(plan, &replay->copies, fault);
    if (status != SEGUE_OK)
        return status;
    if (area)
        memcpy(replay->kept, area, fixed_size());
    status = replay_execute(replay, regs, fault);
    if (status != SEGUE_OK || !has_stored(replay))
        return status;
    status = pieces_write(plan, &replay->copies, fault);
    if (status == SEGUE_FAULT)
        parts_store_first(plan, &replay->copies);
    if (status != SEGUE_OK && area)
        memcpy(area, replay->kept, fixed_size());
    return status;
}

static enum segue_status carry_out(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    replay->copies = (struct copies){0};
    replay_begin(replay);
    bool on_copies = replay->copies.bytes[0] || replay->copies.bytes[1];
    enum segue_status status = on_copies ? run_on_copies(replay, regs, fault) : replay_execute(replay, regs, fault);
    if (status != SEGUE_OK)
        return status;
    bool finished = is_finished(replay);
    uint64_t next = regs->rip + (finished ? replay->plan->insn.length : 0);
    if (!finished)
        forget_flags(replay);
    replay_end(replay, regs);
    regs->rip = next;
    return SEGUE_OK;
}

/* The next run of a step. */
static void choose_run(struct replay *replay, uint64_t left)
{
    struct repeat_run run;
    repeat_choose(replay->plan, replay->regs, left, &run);
    replay->elements = run.elements;
    for (unsigned i = 0; i < replay->plan->insn.memory_count; i++)
        replay->places[i] = (struct replay_place){.is_native = !run.on_copies, .distance = run.distance[i]};
}

/* Run by run. Where one cannot be done, those before it are; the thread comes back to the instruction, and to what
 * keeps it from going on. */
static enum segue_status carry_out_repeated(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    uint64_t left = replay->plan->elements, rip = regs->rip;
    enum segue_status status = SEGUE_INVALID;
    while (left && regs->rip == rip) {
        uint64_t before = count_before(replay);
        choose_run(replay, left);
        status = carry_out(replay, regs, fault);
        /* Of several elements on copies nothing is done yet: the first tells where it is that it cannot. */
        if (status == SEGUE_FAULT && replay->elements > 1 && !replay->places[0].is_native) {
            choose_run(replay, 1);
            status = carry_out(replay, regs, fault);
        }
        if (status != SEGUE_OK)
            break;
        left -= before - count_before(replay);
    }
    return left != replay->plan->elements ? SEGUE_OK : status;
}

enum segue_status replay_step(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                              struct segue_xstate *xstate, struct segue_fault *fault)
{
    struct replay *replay = &scratch->replay;
    if (plan->insn.redirection.state && (!xstate || !xstate->area))
        return SEGUE_INVALID;
    replay->plan = plan;
    replay->holder = scratch->holder;
    replay->elements = 0;
    replay->regs = regs;
    replay->xstate = xstate;
    if (is_repeated(&plan->insn))
        return carry_out_repeated(replay, regs, fault);
    if (lanes_are_apart(plan))
        return lanes_step(replay, regs, fault);
    for (unsigned i = 0; i < plan->insn.memory_count; i++)
        replay->places[i] = replay_place_of(plan, i);
    return carry_out(replay, regs, fault);
}
