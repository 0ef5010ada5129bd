/* fault.c: see fault.h. */
#include "fault.h"

#include <segue/decode.h>

#include "code.h"
#include "ctx/guest/gate.h"
#include "decode/x86/canonical.h"
#include "decode/x86/traps.h"

__attribute__((hot)) void fault_get_registers(const void *context, struct segue_regs *regs)
{
    frame_get_registers(context, regs);
    frame_get_bases(regs);
    guest_bases(context, &regs->fs_base, &regs->gs_base);
}

static void find_beyond(const struct segue_access *accesses, size_t count, struct segue_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        if (canonical_is(accesses[i].address) && canonical_is(accesses[i].address + accesses[i].size - 1))
            continue;
        fault->address = accesses[i].address;
        fault->direction = accesses[i].direction & SEGUE_WRITE ? SEGUE_WRITE : SEGUE_READ;
        fault->address_known = true;
        return;
    }
}

/* For a general protection or stack fault. Leaves `fault` alone if no access has a non-canonical address. */
static __attribute__((noinline)) void find_address(const void *context, struct segue_fault *fault)
{
    struct decode_scratch scratch;
    struct segue_regs regs;
    struct segue_insn insn;
    struct segue_access accesses[FAULT_ACCESSES];
    size_t count;
    if (fault->trap != TRAP_GENERAL_PROTECTION && fault->trap != TRAP_STACK)
        return;
    fault_get_registers(context, &regs);
    if (code_decode(&scratch, NULL, regs.rip, &insn) != SEGUE_OK ||
        segue_accesses(&insn, &regs, NULL, accesses, FAULT_ACCESSES, &count) != SEGUE_OK)
        return;
    find_beyond(accesses, count, fault);
}

static bool is_covered(const struct segue_access *accesses, size_t count, const struct segue_fault *fault)
{
    for (size_t i = 0; i < count; i++)
        if (fault->address - accesses[i].address < accesses[i].size && (accesses[i].direction & fault->direction))
            return true;
    return false;
}

__attribute__((hot)) void fault_read(struct fault_frame *frame)
{
    frame_read(frame);
    guest_bases(frame->public.native[1], &frame->public.regs.fs_base, &frame->public.regs.gs_base);
}

/* Whether the instruction can have raised the signal; false only if it certainly cannot. */
static bool can_be_raised_by(struct fault_scratch *scratch, const void *context, const struct segue_fault *fault)
{
    size_t count;
    if (fault->direction == SEGUE_FETCH)
        return fault->address - frame_instruction(context) < SEGUE_INSN_BYTES;
    fault_get_registers(context, &scratch->regs);
    frame_get_any_xstate(context, &scratch->xstate);
    return code_decode(&scratch->decode, NULL, scratch->regs.rip, &scratch->insn) != SEGUE_OK ||
           segue_accesses(&scratch->insn, &scratch->regs, &scratch->xstate, scratch->accesses, FAULT_ACCESSES,
                          &count) != SEGUE_OK ||
           is_covered(scratch->accesses, count, fault);
}

__attribute__((hot)) bool fault_was_sent(struct fault_scratch *scratch, struct native_frame native)
{
    struct segue_fault fault;
    if (!frame_is_fault(native))
        return true;
    if (frame_is_fault_for_sure(native.context))
        return false;
    frame_get_fault(native, &fault);
    return fault.address_known && !can_be_raised_by(scratch, native.context, &fault);
}

/* Not inlined, as find_address is not: what they need on the stack is several cold pages, and few faults need it. */
static __attribute__((noinline)) bool was_sent(struct native_frame native)
{
    struct fault_scratch scratch;
    return fault_was_sent(&scratch, native);
}

__attribute__((hot)) enum segue_status fault_of_signal(struct native_frame native, struct segue_fault *fault)
{
    if (!frame_is_fault_for_sure(native.context) && was_sent(native))
        return SEGUE_NOT_FOUND;
    frame_get_fault(native, fault);
    if (!fault->address_known)
        find_address(native.context, fault);
    return SEGUE_OK;
}
