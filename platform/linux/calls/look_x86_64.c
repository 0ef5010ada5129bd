/* look_x86_64.c: the way of a call that does not trap: a detour, a look at the call's arguments, and a gate. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "look_x86_64.c is specific to Linux on x86-64"
#endif

#include <segue/region.h>
#include <stddef.h>
#include <ucontext.h>

#include "decode/x86/instructions/syscall.h"
#include "gates.h"

/* What the assembly leaves on the stack for the look. */
struct look {
    struct system_call call;
    /* calls_looks_valid, before the call was looked at; where to go on: if that has changed, and if it has not. */
    uint64_t epoch, trap, chosen;
};

_Static_assert(offsetof(struct look, call.instruction) == LOOK_SAVED && offsetof(struct look, epoch) == LOOK_EPOCH &&
                   offsetof(struct look, trap) == LOOK_EPOCH + 8 && offsetof(struct look, chosen) == LOOK_EPOCH + 16 &&
                   sizeof(struct look) == LOOK_SIZE && offsetof(struct system_call, arguments) == 8,
               "the assembly has other offsets");

/* gates_x86_64.S */
extern const char calls_detours[], calls_look[], calls_looked[], calls_chosen[], calls_chosen_end[];
extern uint64_t calls_looks_valid;
void calls_look_at(struct look *look, uint64_t gate);

static calls_is_plain *is_plain;

static SEGUE_HOT_POLICY uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

void calls_look_prepare(calls_is_plain *plain)
{
    is_plain = plain;
}

uint64_t calls_detour(unsigned gate)
{
    return address_of(calls_detours) + gate * GATE_SIZE;
}

void calls_look_anew(void)
{
    __atomic_fetch_add(&calls_looks_valid, 1, __ATOMIC_SEQ_CST);
}

static SEGUE_HOT_POLICY uint64_t trap_of(unsigned gate)
{
    return calls_uses_sites() ? address_of(calls_halts) + gate : address_of(calls_traps) + gate * CAUGHT_SIZE;
}

/* Called by the assembly: where the call is to be made. */
SEGUE_HOT_POLICY void calls_look_at(struct look *look, uint64_t gate)
{
    struct system_call *call = &look->call;
    unsigned number = (unsigned)(gate - address_of(calls_gates)) / GATE_SIZE;
    look->epoch = __atomic_load_n(&calls_looks_valid, __ATOMIC_SEQ_CST);
    call->instruction = __atomic_load_n(&calls_targets[number], __ATOMIC_RELAXED) - SYSCALL_SIZE;
    call->number = (uint32_t)call->number;
    look->trap = trap_of(number);
    look->chosen = is_plain(call) ? gate : look->trap;
}

/* ---- a thread that was suspended ---- */

/* The site whose gate a thread is about to make its call at; 0 if it is at none. */
static uint64_t site_of(uint64_t at, const char *gates, unsigned count, unsigned size, const uint64_t *targets)
{
    uint64_t offset = at - address_of(gates);
    return offset < count * size && offset % size == 0 ? targets[offset / size] - SYSCALL_SIZE : 0;
}

void calls_leave_gate(struct native_frame native)
{
    greg_t *registers = ((ucontext_t *)native.context)->uc_mcontext.gregs;
    uint64_t at = (uint64_t)registers[REG_RIP], gate = (uint64_t)registers[REG_RCX] - address_of(calls_gates);
    uint64_t site = site_of(at, calls_gates, GATES, GATE_SIZE, calls_targets);
    if (!site)
        site = site_of(at, calls_child_gates, CHILD_GATES, CHILD_GATE_SIZE, calls_child_targets);
    if (site)
        registers[REG_RIP] = (greg_t)site;
    else if (at - address_of(calls_looked) < (uint64_t)(calls_chosen - calls_looked))
        /* It compares again: R11 is as it was, and RCX is the trap or comes from the stack. */
        registers[REG_RIP] = (greg_t)address_of(calls_looked);
    else if (at - address_of(calls_chosen) < (uint64_t)(calls_chosen_end - calls_chosen) && gate < GATES * GATE_SIZE)
        registers[REG_RCX] = (greg_t)trap_of((unsigned)gate / GATE_SIZE);
}

/* ---- where it is, for others ---- */

/* Nothing has changed but RCX. What follows is as a function that was called. */
static enum code_range_result translate_detour(const struct code_range *range, struct segue_regs *regs,
                                               const void **unused)
{
    (void)range;
    (void)unused;
    regs->rip = calls_targets[(regs->rip - address_of(calls_detours)) / GATE_SIZE] - SYSCALL_SIZE;
    return CODE_RANGE_REGISTERS;
}

static enum code_range_result translate_trap(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    (void)range;
    (void)unused;
    uint64_t offset = regs->rip - address_of(calls_traps);
    uint64_t target = calls_targets[offset / CAUGHT_SIZE];
    regs->rip = offset % CAUGHT_SIZE ? target : target - SYSCALL_SIZE;
    return CODE_RANGE_REGISTERS;
}

const struct code_range calls_detour_range = {calls_detours, calls_look, translate_detour};
const struct code_range calls_trap_range = {calls_traps, calls_traps_end, translate_trap};
