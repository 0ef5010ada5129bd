/* fault.c: faults as an embedder's own handler reads them.
 *
 * SOURCES: Intel SDM volume 1, 3.3.7.1 (canonical addresses; with five levels of paging they have 57 bits, else 48). */
#include "fault.h"

#include <segue/decode.h>
#include <segue/posix.h>

#include "code.h"
#include "signals/frame.h"

#define TRAP_STACK 12
#define TRAP_GENERAL_PROTECTION 13

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
    struct segue_access accesses[FAULT_ACCESSES];
    size_t count;
    if (fault->trap != TRAP_GENERAL_PROTECTION && fault->trap != TRAP_STACK)
        return;
    if (code_decode(&scratch, NULL, regs->rip, &insn) != SEGUE_OK ||
        segue_accesses(&insn, regs, NULL, accesses, FAULT_ACCESSES, &count) != SEGUE_OK)
        return;
    if (!find_beyond(accesses, count, 57, fault))
        find_beyond(accesses, count, 48, fault);
}

static bool is_covered(const struct segue_access *accesses, size_t count, const struct segue_fault *fault)
{
    for (size_t i = 0; i < count; i++)
        if (fault->address - accesses[i].address < accesses[i].size && (accesses[i].direction & fault->direction))
            return true;
    return false;
}

/* Whether the instruction can have raised it: no only if that is certain. */
static bool can_be_raised_by(struct fault_scratch *scratch, const void *ucontext, const struct segue_fault *fault)
{
    size_t count;
    if (fault->direction == SEGUE_FETCH)
        return fault->address - frame_instruction(ucontext) < SEGUE_INSN_BYTES;
    frame_read(ucontext, &scratch->regs);
    frame_xstate(ucontext, &scratch->xstate);
    return code_decode(&scratch->decode, NULL, scratch->regs.rip, &scratch->insn) != SEGUE_OK ||
           segue_accesses(&scratch->insn, &scratch->regs, &scratch->xstate, scratch->accesses, FAULT_ACCESSES,
                          &count) != SEGUE_OK ||
           is_covered(scratch->accesses, count, fault);
}

bool fault_was_sent(struct fault_scratch *scratch, const siginfo_t *info, const void *ucontext)
{
    struct segue_fault fault;
    if (!frame_is_fault(info, ucontext))
        return true;
    if (frame_is_fault_for_sure(ucontext))
        return false;
    frame_fault(info, ucontext, &fault);
    return fault.address_known && !can_be_raised_by(scratch, ucontext, &fault);
}

enum segue_status segue_fault_read(const siginfo_t *info, const void *ucontext, struct segue_fault *fault)
{
    struct fault_scratch scratch;
    struct segue_regs regs;
    if (!info || !ucontext || !fault)
        return SEGUE_INVALID;
    if (fault_was_sent(&scratch, info, ucontext))
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
