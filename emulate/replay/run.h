/* run.h: one run of a replayed instruction. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_REPLAY_RUN_H
#define SEGUE_EMULATE_REPLAY_RUN_H

#include "context.h"
#include "decode/accesses/accesses.h"
#include "emulate/details.h"

/* The operand's linear address, of as many bits as the code that is replayed has. */
static inline uint64_t replay_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned operand)
{
    return (uintptr_t)accesses_operand(insn, regs, operand);
}

/* The common location of all fragments of an operand; an operand without fragments has none. */
static inline struct replay_place replay_place_of(const struct segue_plan *plan, unsigned operand)
{
    struct replay_place place = {.is_native = false};
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        uint64_t distance = (uint64_t)(uintptr_t)piece->host - piece->address;
        if (plan->accesses[piece->access].operand != operand)
            continue;
        if (!piece_is_native(piece) || (place.is_native && distance != place.distance))
            return (struct replay_place){.is_native = false};
        place = (struct replay_place){.is_native = true, .distance = distance};
    }
    return place;
}

/* Prepares the state that the instruction runs with; `places` are chosen. */
void replay_begin(struct replay *replay);

/* Runs the instruction. SEGUE_OK: the state is that after it; SEGUE_FAULT: the processor's effects before the fault
 * stay; SEGUE_BUSY. */
enum segue_status replay_execute(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault);

/* Writes the registers after it to `regs`, those that it began with. */
void replay_end(const struct replay *replay, struct segue_regs *regs);

/* As segue_recover, for a fault in a run. */
bool replay_recover(uint64_t *rip);

#endif
