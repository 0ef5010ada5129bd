/* strings.c: replays of string instructions.
 *
 * SOURCES: Intel SDM volume 1, 7.3.9 (strings); volume 2, REP. */
#include "strings.h"

#include "decode/orders.h"
#include "decode/x86/vendors.h"

#define PREFIX_REPNE 0xf2
#define PREFIX_REP 0xf3

/* REPNE ends at equality, REPE and REP at inequality. The last of the two prefixes takes effect. */
static bool repeats_until_equal(const struct segue_insn *insn)
{
    bool until_equal = false;
    for (unsigned i = 0; i < orders_of(insn)->relocation.length; i++)
        if (orders_of(insn)->relocation.bytes[i] == PREFIX_REPNE || orders_of(insn)->relocation.bytes[i] == PREFIX_REP)
            until_equal = orders_of(insn)->relocation.bytes[i] == PREFIX_REPNE;
    return until_equal;
}

void strings_choose_run(struct replay *replay, uint64_t left)
{
    struct repeat_run run;
    repeat_choose(replay->plan, replay->regs, left, &run);
    replay->elements = run.elements;
    for (unsigned i = 0; i < replay->plan->insn.memory_count; i++)
        replay->places[i] = (struct replay_place){.is_native = !run.on_copies, .distance = run.distance[i]};
}

uint64_t strings_count_before(const struct replay *replay)
{
    uint64_t count = replay->regs->rcx;
    return replay->plan->insn.address_size == 4 ? (uint32_t)count : count;
}

bool strings_are_finished(const struct replay *replay)
{
    const struct segue_insn *insn = &replay->plan->insn;
    if (replay->elements == strings_count_before(replay) || replay->context.general[SEGUE_RCX] != 0)
        return true;
    bool equal = replay->context.rflags & FLAG_ZERO;
    return (insn->flags & SEGUE_INSN_CONDITIONAL) && equal == repeats_until_equal(insn);
}

void strings_forget_flags(struct replay *replay)
{
    if ((replay->plan->insn.flags & SEGUE_INSN_CONDITIONAL) && vendors_restore_flags_of_repetition())
        replay->context.rflags = replay->regs->rflags;
}

/* A string's address register has moved with the elements. With 32-bit addresses that is an assignment to a 32-bit
 * register; the same holds for the count register. */
__attribute__((hot)) void strings_store_registers(const struct replay *replay, struct segue_regs *regs)
{
    const struct segue_insn *insn = &replay->plan->insn;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        unsigned base = replay_base_of(insn, i);
        uint64_t *reg = segue_register_at(regs, base);
        *reg += replay->context.general[base] - replay->loaded[i];
        if (insn->address_size == 4)
            *reg = (uint32_t)*reg;
    }
}

void strings_store_count(const struct replay *replay, struct segue_regs *regs)
{
    regs->rcx = strings_count_before(replay) - (replay->elements - replay->context.general[SEGUE_RCX]);
}
