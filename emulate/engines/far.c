/* far.c: far jumps, calls and returns, and IRET, within the thread's own code segment, in straight C. The selectors
 * that they load must equal the thread's. Then only the instruction pointer, the stack pointer and flags change.
 *
 * SOURCES: Intel SDM volume 2, JMP, CALL, RET, IRET (operation in 64-bit mode: IRET pops the stack pointer whatever the
 * privilege); docs/facts.md (what is pushed above a selector). */
#include "far.h"

#include <string.h>

#include "decode/orders.h"
#include "decode/x86/canonical.h"
#include "decode/x86/traps.h"
#include "decode/x86/vendors.h"
#include "emulate/windows/guard.h"

#define SELECTOR_SIZE 2u

/* The words that IRET pops, in this order. */
enum { WORD_RIP, WORD_CS, WORD_RFLAGS, WORD_RSP, WORD_SS, WORDS };

bool far_does(const struct segue_insn *insn)
{
    return orders_of(insn)->transfer.kind >= INSN_TRANSFER_CALL_FAR &&
           orders_of(insn)->transfer.kind <= INSN_TRANSFER_INTERRUPT_RETURN;
}

static bool is_on_stack(const struct segue_memory_operand *memory)
{
    return memory->addressing != SEGUE_ADDRESSING_PLAIN;
}

/* The size of a word on the stack; 0 if the instruction uses no stack. */
static unsigned word_size(const struct segue_insn *insn)
{
    unsigned size = 0;
    for (unsigned i = 0; i < insn->memory_count; i++)
        if (is_on_stack(&insn->memory[i]) && insn->memory[i].element > size)
            size = insn->memory[i].element;
    return size;
}

/* The size of the offset in a far pointer; 0 if the instruction has none. */
static unsigned offset_size(const struct segue_insn *insn)
{
    for (unsigned i = 0; i < insn->memory_count; i++)
        if (!is_on_stack(&insn->memory[i]))
            return insn->memory[i].size - SELECTOR_SIZE;
    return 0;
}

const char *far_refusal(const struct segue_plan *plan)
{
    const struct segue_insn *insn = &plan->insn;
    if (word_size(insn) == 2 || offset_size(insn) == 2)
        return "processors disagree about its operand size";
    if (orders_of(insn)->transfer.kind == INSN_TRANSFER_CALL_FAR && !vendors_widen_pushed_selector())
        return "processors disagree about what they push above a selector";
    return NULL;
}

static uint64_t load(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, from, size);
    return value;
}

/* The stack words begin at `base` and are read into transfer->words; a far pointer is read into transfer->pointer. */
static void begin(struct transfer *transfer, const struct segue_plan *plan, uint64_t base)
{
    memset(transfer, 0, sizeof *transfer);
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        bool on_stack = is_on_stack(&plan->insn.memory[access->operand]);
        uint8_t *copy = on_stack ? transfer->words : transfer->pointer;
        uint64_t start = on_stack ? base : access->address;
        transfer->copies.of.address[access->operand] = start;
        transfer->copies.of.size[access->operand] = on_stack ? sizeof transfer->words : access->size;
        transfer->copies.bytes[access->operand] = copy;
    }
}

/* False if it cannot be carried out. */
static bool interrupt_return(const struct transfer *transfer, unsigned size, struct segue_regs *after)
{
    uint64_t flags = load(transfer->words + WORD_RFLAGS * size, size);
    uint64_t mask = FLAGS_POPPED | FLAG_RESUME, before = after->rflags;
    after->rip = load(transfer->words + WORD_RIP * size, size);
    after->rsp = load(transfer->words + WORD_RSP * size, size);
    after->rflags = (before & ~mask) | (flags & mask);
    return load(transfer->words + WORD_SS * size, SELECTOR_SIZE) == after->selectors[SEGUE_SEGMENT_SS] &&
           !(flags & FLAG_VIRTUAL_8086) && !((before ^ after->rflags) & FLAGS_KEPT) && canonical_is(after->rsp);
}

/* Computes the registers after the instruction and the words that it pushes; false if it cannot be carried out. */
__attribute__((hot)) static bool carry_out(struct transfer *transfer, const struct segue_insn *insn,
                                           const struct segue_regs *regs)
{
    struct segue_regs *after = &transfer->after;
    unsigned word = word_size(insn), offset = offset_size(insn);
    uint64_t next = regs->rip + insn->length;
    uint64_t selector =
        offset ? load(transfer->pointer + offset, SELECTOR_SIZE) : load(transfer->words + word, SELECTOR_SIZE);
    *after = *regs;
    if (selector != regs->selectors[SEGUE_SEGMENT_CS])
        return false;
    switch (orders_of(insn)->transfer.kind) {
    case INSN_TRANSFER_INTERRUPT_RETURN:
        return interrupt_return(transfer, word, after);
    case INSN_TRANSFER_RETURN_FAR:
        after->rip = load(transfer->words, word);
        after->rsp += 2 * (uint64_t)word + ((uint64_t)orders_of(insn)->transfer.value & 0xffff);
        return true;
    case INSN_TRANSFER_CALL_FAR:
        memcpy(transfer->words, &next, word);
        memcpy(transfer->words + word, &selector, word);
        after->rsp -= 2 * (uint64_t)word;
        break;
    default:
        break;
    }
    after->rip = load(transfer->pointer, offset);
    return true;
}

/* The instruction itself would raise #GP. So does a load from the target; the guard catches it. */
static enum segue_status miss_target(uint64_t target, struct segue_fault *fault)
{
    uint8_t byte;
    if (guard_load_1((const void *)(uintptr_t)target, &byte) == 0)
        return SEGUE_UNSUPPORTED;
    if (fault)
        *fault = (struct segue_fault){.trap = TRAP_GENERAL_PROTECTION};
    return SEGUE_FAULT;
}

enum segue_status far_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                           struct segue_fault *fault)
{
    const struct segue_insn *insn = &plan->insn;
    bool pushes = orders_of(insn)->transfer.kind == INSN_TRANSFER_CALL_FAR;
    begin(transfer, plan, pushes ? regs->rsp - 2 * (uint64_t)word_size(insn) : regs->rsp);
    enum segue_status status = pieces_read(plan, &transfer->copies, fault);
    if (status != SEGUE_OK)
        return status;
    if (!carry_out(transfer, insn, regs))
        return SEGUE_UNSUPPORTED;
    if (!canonical_is(transfer->after.rip))
        return miss_target(transfer->after.rip, fault);
    status = pushes ? pieces_write(plan, &transfer->copies, fault) : SEGUE_OK;
    if (status == SEGUE_OK)
        *regs = transfer->after;
    return status;
}
