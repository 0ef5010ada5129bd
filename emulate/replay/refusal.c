/* refusal.c: which plans are replayed, and the refusals of the others. */
#include "refusal.h"

#include "decode/accesses/accesses.h"
#include "decode/host.h"
#include "decode/orders.h"
#include "decode/relocate/relocation.h"
#include "decode/segments.h"
#include "emulate/accesses/addresses.h"
#include "emulate/accesses/pieces.h"
#include "emulate/details.h"
#include "emulate/engines/engines.h"
#include "emulate/replay/stubs/stubs.h"
#include "run.h"
#include "state.h"

/* An upper bound of any XSAVE area or x87 operand, except for tiles. */
#define STATE_MOST 4096u

/* The descriptor's address has a component outside the operand (a bit offset, for example): the operand then counts as
 * starting at the access. */
static bool starts_at_access(const struct segue_memory_operand *memory)
{
    return memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET || memory->addressing == SEGUE_ADDRESSING_TABLE ||
           memory->addressing == SEGUE_ADDRESSING_CACHE_LINE;
}

/* The processor truncates each part of a multi-part operand separately: past the end of addresses of 32 or 16 bits the
 * next part is at the beginning. */
static bool wraps_parts(const struct segue_plan *plan, const struct segue_regs *regs)
{
    const struct segue_insn *insn = &plan->insn;
    const struct segue_memory_operand *memory = &insn->memory[0];
    bool has_parts = insn->class_ == SEGUE_CLASS_X87 || insn->class_ == SEGUE_CLASS_STATE ||
                     memory->masking != SEGUE_MASKING_NONE || memory->size > 8;
    /* Each lane is truncated separately. */
    if (memory->addressing == SEGUE_ADDRESSING_VECTOR)
        return false;
    uint64_t size = insn->class_ == SEGUE_CLASS_STATE ? STATE_MOST : memory->size;
    uint64_t offset = (uintptr_t)(details_of(plan)->operand - segment_base(regs, memory->segment));
    return insn->address_size < 8 && has_parts && offset + size > UINT64_C(1) << 8 * insn->address_size;
}

__attribute__((hot)) const char *replay_refusal(struct segue_plan *plan, const struct segue_regs *regs,
                                                const struct segue_xstate *xstate)
{
    const struct segue_insn *insn = &plan->insn;
    const char *why = engines_insn_refusal(insn);
    if (why)
        return why;
    if (insn->mode != HOST_MODE)
        return insn->mode == SEGUE_MODE_32 ? "it is 32-bit code, which replay would execute in 64-bit mode"
                                           : "it is 64-bit code, which replay would execute in 32-bit mode";
    if (insn->address_size == 2 && insn->memory[0].addressing != SEGUE_ADDRESSING_PLAIN)
        return "its addresses have 16 bits, which replay would take for 32";
    relocation_complete(&plan->insn);
    if (orders_of(insn)->relocation.kind == INSN_RELOCATION_NONE)
        return "no engine carries out this instruction";
    if (!stubs_ready())
        return "it needs an out-of-line slot, and there is no executable memory";
    if (regs->rflags & FLAG_TRAP)
        plan->flags |= SEGUE_PLAN_TRAPS;
    if (regs->rflags & FLAG_ALIGNMENT)
        plan->flags |= SEGUE_PLAN_ALIGNMENT_CHECKED;
    details_of(plan)->operand =
        starts_at_access(&insn->memory[0]) ? plan->accesses[0].address : replay_operand(insn, regs, 0);
    if (wraps_parts(plan, regs))
        return "its operand wraps around the end of the address space";
    return orders_of(insn)->relocation.state ? state_refusal(plan, regs, xstate) : NULL;
}

/* An opmask determines which elements are stored, but not which may fault: a copy would be stored as a whole. */
static bool stores_masked(const struct segue_plan *plan)
{
    const uint8_t both = COMPONENT_OPMASK | COMPONENT_SSE;
    const struct segue_memory_operand *memory = &plan->insn.memory[0];
    return (orders_of(&plan->insn)->relocation.state & both) == both && (memory->direction & SEGUE_WRITE) &&
           memory->masking == SEGUE_MASKING_NONE;
}

/* The refusal if the operand cannot be copied; NULL if it can. */
static const char *copy_refusal(const struct segue_plan *plan, const struct segue_memory_operand *memory)
{
    if (pieces_are_atomic(plan))
        return "it is one atomic operation, which this window cannot do";
    if (memory->addressing == SEGUE_ADDRESSING_STATE || (memory->size > REPLAY_COPY_MOST && !replay_is_string(memory)))
        return "its operand is too large to be copied";
    if (addresses_end_beyond(plan))
        return "its operand extends into non-canonical addresses";
    if (plan->insn.class_ == SEGUE_CLASS_NONE)
        return "it acts on the memory's cache line, which this window cannot reach";
    if (stores_masked(plan) || (memory->probe && memory->masking == SEGUE_MASKING_OPMASK))
        return "it may fault on elements that its mask leaves out";
    if (replay_is_string(memory) && (plan->flags & SEGUE_PLAN_ALIGNMENT_CHECKED))
        return "alignment checking (EFLAGS.AC) is on, and #AC cannot "
               "be distinguished from #PF before memory is accessed";
    return NULL;
}

/* Whether the operand is copied. For repeated strings each run decides. */
static bool is_copied(const struct segue_plan *plan, unsigned operand)
{
    if (replay_is_repeated(&plan->insn))
        return plan->flags & SEGUE_PLAN_COPIED;
    return !replay_place_of(plan, operand).is_native;
}

__attribute__((hot)) const char *replay_window_refusal(struct segue_plan *plan)
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
