/* run.c: one run of a replayed instruction: sets up registers and addresses, calls the stub, and reads the registers
 * back. */
#include "run.h"

#include <stddef.h>
#include <string.h>

#include "decode/orders.h"
#include "emulate/accesses/pieces.h"
#include "emulate/details.h"
#include "emulate/replay/stubs/stubs.h"
#include "platform/abi.h"
#include "state.h"
#include "strings.h"

extern const char replay_load[], replay_loaded[], replay_not_loaded[], replay_faulted[];

/* Runs the stub. REPLAY_DONE; REPLAY_FAULTED: the instruction faulted, and the state is that at the fault;
 * REPLAY_NOT_LOADED: the area could not be loaded, and nothing has happened. */
ASSEMBLED uint64_t replay_enter(struct replay_context *context);

_Static_assert(offsetof(struct replay_context, general) == 0, "layout.h");
_Static_assert(offsetof(struct replay_context, rflags) == REPLAY_RFLAGS, "layout.h");
_Static_assert(offsetof(struct replay_context, code) == REPLAY_CODE, "layout.h");
_Static_assert(offsetof(struct replay_context, area) == REPLAY_AREA, "layout.h");
_Static_assert(offsetof(struct replay_context, components) == REPLAY_COMPONENTS, "layout.h");
_Static_assert(offsetof(struct replay_context, state_by) == REPLAY_STATE_BY, "layout.h");
_Static_assert(offsetof(struct replay_context, ymm_upper) == REPLAY_YMM_UPPER, "layout.h");
_Static_assert(offsetof(struct replay_context, opmask) == REPLAY_OPMASK, "layout.h");
_Static_assert(offsetof(struct replay_context, zmm_upper) == REPLAY_ZMM_UPPER, "layout.h");
_Static_assert(offsetof(struct replay_context, zmm_high) == REPLAY_ZMM_HIGH, "layout.h");
_Static_assert(offsetof(struct replay_context, popfq_flags) == REPLAY_POPFQ_FLAGS, "layout.h");
_Static_assert(SEGUE_RDI == 5 && SEGUE_RSP == 7 && SEGUE_R15 == 15, "run_x86_64.S");

__attribute__((hot)) bool replay_recover(uint64_t *rip)
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

static uint64_t operand_address(const struct replay *replay, unsigned operand)
{
    const struct segue_plan *plan = replay->plan;
    /* A string's address moves with the completed elements. */
    return operand == 0 && !replay_is_repeated(&plan->insn) ? details_of(plan)->operand
                                                            : replay_operand(&plan->insn, replay->regs, operand);
}

/* Makes room for a copy of the operand, or of this run's elements of a repeated string. Returns where `address`, that
 * of the first element, is in the copy. */
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

/* The address at which the instruction is to access the operand. */
static uint64_t relocate(struct replay *replay, unsigned operand)
{
    uint64_t address = operand_address(replay, operand);
    const struct replay_place *place = &replay->places[operand];
    return place->is_native ? address + place->distance : make_copy(replay, operand, address);
}

static void set_addresses(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        uint64_t address = relocate(replay, i);
        /* XLAT adds its index again. */
        if (insn->memory[i].addressing == SEGUE_ADDRESSING_TABLE)
            address -= (uint8_t)segue_register_get(replay->regs, insn->memory[i].index);
        replay->loaded[i] = address;
        replay->context.general[replay_base_of(insn, i)] = address;
    }
}

/* The scratch register gets the value of RSP; in place of a bit offset it gets the bit's number within the operand. */
static void set_scratch_register(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    const struct segue_memory_operand *memory = &insn->memory[0];
    if (orders_of(insn)->relocation.scratch_register == SEGUE_REGISTER_NONE)
        return;
    uint64_t value = replay->regs->rsp;
    if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET)
        value = segue_register_get(replay->regs, memory->mask) & (8u * memory->size - 1);
    replay->context.general[orders_of(insn)->relocation.scratch_register] = value;
}

__attribute__((hot)) void replay_begin(struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    memcpy(replay->context.general, replay->regs, sizeof replay->context.general);
    replay->context.rflags = (replay->regs->rflags & FLAGS_LOADED) | FLAG_ALWAYS_SET;
    replay->context.popfq_flags = state_popfq_flags();
    replay->context.components = 0;
    replay->context.area = NULL;
    if (orders_of(insn)->relocation.state)
        state_load(replay);
    set_addresses(replay);
    set_scratch_register(replay);
    if (replay_is_repeated(insn))
        replay->context.general[SEGUE_RCX] = replay->elements;
}

static void store_addresses(const struct replay *replay, const struct segue_regs *before, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        unsigned base = replay_base_of(insn, i);
        *segue_register_at(regs, base) = segue_register_get(before, base);
    }
    if (replay_is_string(&insn->memory[0]))
        strings_store_registers(replay, regs);
    if (replay_is_repeated(insn)) {
        regs->rcx = before->rcx;
        strings_store_count(replay, regs);
    }
}

/* Writes the registers after the instruction to `regs`. */
__attribute__((hot)) void replay_end(const struct replay *replay, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    uint8_t scratch_register = orders_of(insn)->relocation.scratch_register;
    struct segue_regs before = *regs;
    /* In place: to copy the whole again, after single words of it have changed, would wait for their stores. */
    memcpy(regs, replay->context.general, sizeof replay->context.general);
    regs->rsp = before.rsp;
    regs->rflags = (before.rflags & ~FLAGS_LOADED) | (replay->context.rflags & FLAGS_LOADED);
    store_addresses(replay, &before, regs);
    if (scratch_register != SEGUE_REGISTER_NONE) {
        if (insn->memory[0].addressing != SEGUE_ADDRESSING_BIT_OFFSET)
            regs->rsp = replay->context.general[scratch_register];
        *segue_register_at(regs, scratch_register) = segue_register_get(&before, scratch_register);
    }
}

/* The instruction faulted. Its effects before the fault stay, as on the processor: exception flags in MXCSR, elements
 * of a string, lanes of a gather. */
static enum segue_status stop(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_insn *insn = &replay->plan->insn;
    bool moved = replay->context.general[replay_base_of(insn, 0)] != replay->loaded[0];
    if (replay_is_string(&insn->memory[0]) && moved)
        replay_end(replay, regs);
    if (replay_is_repeated(insn)) {
        struct extents element;
        for (unsigned i = 0; i < insn->memory_count; i++) {
            element.address[i] = replay_operand(insn, regs, i);
            element.size[i] = insn->memory[i].element;
        }
        pieces_find_fault(replay->plan, &element, fault);
    } else {
        pieces_find_fault(replay->plan, NULL, fault);
    }
    return SEGUE_FAULT;
}

/* Runs the stub; the result has no meaning if there is no stub. */
static uint64_t run_stub(struct replay *replay, uint32_t holder)
{
    replay->context.code = stubs_hold(holder, &orders_of(&replay->plan->insn)->relocation);
    uint64_t outcome = replay->context.code ? replay_enter(&replay->context) : REPLAY_DONE;
    stubs_let_go(holder);
    return outcome;
}

/* For a step without a holder number: borrows one. */
__attribute__((noinline)) static uint64_t run_stub_with_borrowed(struct replay *replay)
{
    _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
    uint32_t holder;
    replay->context.code = NULL;
    if (!stubs_borrow(&holder, &mark))
        return REPLAY_DONE;
    uint64_t outcome = run_stub(replay, holder);
    stubs_give_back(holder);
    return outcome;
}

__attribute__((hot)) enum segue_status replay_execute(struct replay *replay, struct segue_regs *regs,
                                                      struct segue_fault *fault)
{
    uint64_t outcome =
        replay->holder == STUBS_NO_HOLDER ? run_stub_with_borrowed(replay) : run_stub(replay, replay->holder);
    if (!replay->context.code)
        return SEGUE_BUSY;
    if (outcome == REPLAY_NOT_LOADED) {
        if (fault)
            *fault = (struct segue_fault){0};
        return SEGUE_FAULT;
    }
    if (replay->context.components & COMPONENT_X87)
        state_restore_x87_pointers(replay);
    return outcome == REPLAY_DONE ? SEGUE_OK : stop(replay, regs, fault);
}
