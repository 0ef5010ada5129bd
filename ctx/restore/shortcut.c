/* shortcut.c: which target has which shortcut, and fault-PC translation for a thread in one. */
#include "shortcut.h"

#include <stddef.h>

/* The most shortcuts that are examined for one target. */
#define PROBES 4

static unsigned first_place(uint64_t rip)
{
    return (unsigned)((rip * 0x9e3779b97f4a7c15u) >> (64 - SHORTCUT_BITS));
}

__attribute__((hot)) const void *shortcut_to(uint64_t rip)
{
    for (unsigned i = 0; i < PROBES; i++) {
        unsigned place = (first_place(rip) + i) % SHORTCUT_COUNT;
        uint64_t target = __atomic_load_n(&shortcut_targets[place], __ATOMIC_RELAXED);
        if (target == 0 && __atomic_compare_exchange_n(&shortcut_targets[place], &target, rip, false, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED))
            return shortcut_code[place];
        if (target == rip)
            return shortcut_code[place];
    }
    return NULL;
}

bool shortcut_holds(uint64_t rip, uint64_t *target, unsigned *step)
{
    uint64_t offset = rip - (uint64_t)(uintptr_t)shortcut_code;
    if (offset >= SHORTCUT_COUNT * SHORTCUT_SIZE)
        return false;
    *target = __atomic_load_n(&shortcut_targets[offset / SHORTCUT_SIZE], __ATOMIC_RELAXED);
    *step = (unsigned)(offset % SHORTCUT_SIZE);
    return true;
}

void shortcut_take(struct segue_regs *regs, unsigned step, uint64_t target)
{
    const uint64_t *top = (const uint64_t *)(uintptr_t)regs->rsp;
    if (step == SHORTCUT_FLAGS) {
        regs->rip = top[-2];
        regs->rflags = top[0];
        regs->rsp = top[1];
        return;
    }
    regs->rip = target;
    if (step == SHORTCUT_STACK)
        regs->rsp = top[0];
}

static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    uint64_t target;
    unsigned step;
    (void)range;
    (void)frame;
    if (!shortcut_holds(regs->rip, &target, &step))
        return CODE_RANGE_NOT_FOUND;
    shortcut_take(regs, step, target);
    return CODE_RANGE_REGISTERS;
}

const struct code_range shortcut_range = {shortcut_code, shortcut_code + SHORTCUT_COUNT, translate};
