/* fault.c: faults as an embedder's own handler reads them.
 *
 * SOURCES: Intel SDM volume 1, 3.3.7.1 (canonical addresses; with five levels of paging they have 57 bits, else 48). */
#include "fault.h"

#include <segue/signals.h>

#include "code.h"
#include "frame.h"

#define TRAP_STACK 12
#define TRAP_GENERAL_PROTECTION 13
#define ACCESSES 16

static bool is_canonical(uint64_t address, unsigned bits)
{
    int64_t upper = (int64_t)address >> (bits - 1);
    return upper == 0 || upper == -1;
}

static bool find_beyond(const struct segue_access *accesses, size_t count, unsigned bits, struct segue_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        if (is_canonical(accesses[i].address, bits) && is_canonical(accesses[i].address + accesses[i].size - 1, bits))
            continue;
        fault->address = accesses[i].address;
        fault->direction = accesses[i].direction & SEGUE_WRITE ? SEGUE_WRITE : SEGUE_READ;
        fault->address_known = true;
        return true;
    }
    return false;
}

void fault_find_address(const struct segue_regs *regs, struct segue_fault *fault)
{
    struct decode_scratch scratch;
    struct segue_insn insn;
    struct segue_access accesses[ACCESSES];
    size_t count;
    if (fault->trap != TRAP_GENERAL_PROTECTION && fault->trap != TRAP_STACK)
        return;
    if (code_decode(&scratch, NULL, regs->rip, &insn) != SEGUE_OK ||
        segue_accesses(&insn, regs, NULL, accesses, ACCESSES, &count) != SEGUE_OK)
        return;
    if (!find_beyond(accesses, count, 57, fault))
        find_beyond(accesses, count, 48, fault);
}

enum segue_status segue_fault_read(const siginfo_t *info, const void *ucontext, struct segue_fault *fault)
{
    struct segue_regs regs;
    if (!info || !ucontext || !fault)
        return SEGUE_INVALID;
    if (!frame_is_fault(info))
        return SEGUE_NOT_FOUND;
    frame_fault(info, ucontext, fault);
    if (!fault->address_known) {
        frame_read(ucontext, &regs);
        fault_find_address(&regs, fault);
    }
    return SEGUE_OK;
}

enum segue_status segue_frame_read(const void *ucontext, struct segue_regs *regs, struct segue_xstate *xstate)
{
    if (!ucontext || !regs)
        return SEGUE_INVALID;
    frame_read(ucontext, regs);
    if (xstate)
        frame_xstate(ucontext, xstate);
    return SEGUE_OK;
}

enum segue_status segue_frame_write(void *ucontext, const struct segue_regs *regs)
{
    if (!ucontext || !regs)
        return SEGUE_INVALID;
    frame_write(ucontext, regs);
    return SEGUE_OK;
}
