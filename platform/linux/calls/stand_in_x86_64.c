/* stand_in_x86_64.c: traps of call sites that are replaced, where the system cannot catch calls. CLTS stands in for
 * SYSCALL: an instruction of the same size that differs in its second byte alone, and faults in a program (#GP).
 *
 * SOURCES: Intel SDM volume 2, CLTS, HLT (#GP if the CPL is not 0); Linux arch/x86/kernel/traps.c (a #GP is SIGSEGV,
 * SI_KERNEL, at the instruction). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "stand_in_x86_64.c is specific to Linux on x86-64"
#endif

#include <segue/region.h>
#include <signal.h>
#include <ucontext.h>

#include "decode/x86/instructions/syscall.h"
#include "decode/x86/traps.h"
#include "gates.h"
#include "platform/abi.h"
#include "platform/threads/thread.h"

static const uint64_t *replaced;
static size_t replaced_count;

static SEGUE_HOT_POLICY uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

void calls_use_sites(const uint64_t *sites, size_t count)
{
    replaced = sites;
    __atomic_store_n(&replaced_count, count, __ATOMIC_RELEASE);
}

SEGUE_HOT_POLICY bool calls_uses_sites(void)
{
    return __atomic_load_n(&replaced_count, __ATOMIC_ACQUIRE);
}

uint64_t calls_signals(void)
{
    return SIGNAL_BIT(SIGSYS) | (calls_uses_sites() ? SIGNAL_BIT(SIGSEGV) : 0);
}

static SEGUE_HOT_POLICY bool is_replaced(uint64_t address)
{
    size_t first = 0, end = replaced_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (replaced[middle] == address)
            return true;
        if (replaced[middle] < address)
            first = middle + 1;
        else
            end = middle;
    }
    return false;
}

SEGUE_HOT_POLICY bool calls_is_stand_in(struct native_frame native)
{
    if (!calls_uses_sites())
        return false;
    const greg_t *registers = ((const ucontext_t *)native.context)->uc_mcontext.gregs;
    const siginfo_t *info = native.info;
    uint64_t at = (uint64_t)registers[REG_RIP];
    return info->si_signo == SIGSEGV && info->si_code > 0 && registers[REG_TRAPNO] == TRAP_GENERAL_PROTECTION &&
           (at == address_of(calls_finish_halt) || at - address_of(calls_halts) < GATES || is_replaced(at));
}

uint64_t calls_stand_in_target(uint64_t instruction)
{
    if (instruction == address_of(calls_finish_halt))
        return address_of(calls_wanted_finish);
    if (instruction - address_of(calls_halts) < GATES)
        return calls_targets[instruction - address_of(calls_halts)];
    return instruction + SYSCALL_SIZE;
}

bool calls_is_exempt(uint64_t address)
{
    return address - address_of(__start_segue_exempt) < (uint64_t)(__stop_segue_exempt - __start_segue_exempt) ||
           address - address_of(calls_traps) < (uint64_t)(calls_traps_end - calls_traps) ||
           address == address_of(calls_wanted_finish) - SYSCALL_SIZE;
}

static enum code_range_result translate_halt(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    (void)range;
    (void)unused;
    regs->rip = calls_targets[regs->rip - address_of(calls_halts)] - SYSCALL_SIZE;
    return CODE_RANGE_REGISTERS;
}

const struct code_range calls_halt_range = {calls_halts, calls_halts_end, translate_halt};
