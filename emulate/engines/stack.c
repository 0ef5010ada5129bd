/* stack.c: PUSH, POP, PUSHF, POPF, CALL, JMP, RET and LEAVE, and MOV of segment registers, in straight C. They cannot
 * be replayed in the handler, whose stack and segments differ from the thread's. All reads come before any write, and
 * registers change last.
 *
 * SOURCES: Intel SDM volume 2 (each instruction's page), volume 1, 6.2 (the stack), 3.4.3 (PUSHF stores RF and VM as
 * 0); volume 1, 17 (shadow stacks: an emulated call or return would leave the shadow stack out of step). */
#include "stack.h"

#include <string.h>

#include "decode/accesses/accesses.h"
#include "decode/orders.h"
#include "decode/segments.h"
#include "decode/x86/canonical.h"
#include "decode/x86/processor.h"
#include "decode/x86/traps.h"
#include "decode/x86/vendors.h"
#include "emulate/accesses/pieces.h"
#include "emulate/windows/guard.h"
#include "engines.h"
#include "enter.h"
#include "far.h"

/* Selector bits: the table indicator (LDT); the highest null selector. */
#define SELECTOR_LOCAL 4u
#define SELECTOR_NULL_LAST 3u

static struct operands operands_of(const struct segue_insn *insn)
{
    struct operands operands = {-1, -1};
    for (int i = 0; i < insn->memory_count; i++) {
        if (insn->memory[i].addressing == SEGUE_ADDRESSING_STACK)
            operands.stack = i;
        else
            operands.other = i;
    }
    return operands;
}

static bool is_branch(unsigned kind)
{
    return kind == INSN_TRANSFER_CALL || kind == INSN_TRANSFER_JUMP || kind == INSN_TRANSFER_RETURN;
}

static bool moves_segment(const struct segue_insn *insn)
{
    return orders_of(insn)->transfer.kind >= INSN_TRANSFER_PUSH_SEGMENT &&
           orders_of(insn)->transfer.kind <= INSN_TRANSFER_LOAD_SEGMENT;
}

__attribute__((hot)) bool stack_does(const struct segue_insn *insn)
{
    return moves_segment(insn) || engines_of((enum segue_class)insn->class_) == SEGUE_ENGINE_STACK;
}

static const char no_selectors[] = "it needs the thread's selectors, and the registers hold none";

static const char *segment_refusal(const struct segue_insn *insn, const struct segue_regs *regs)
{
    if (regs->selectors[SEGUE_SEGMENT_CS] == 0)
        return no_selectors;
    unsigned segment = orders_of(insn)->transfer.reg, kind = orders_of(insn)->transfer.kind;
    bool has_base = segment_has_base(segment);
    /* POP can load no other segments in 64-bit mode. */
    if ((kind == INSN_TRANSFER_LOAD_SEGMENT && has_base) ||
        (kind == INSN_TRANSFER_POP_SEGMENT && segment_base(regs, segment) != 0))
        return "it also loads the segment's base";
    return NULL;
}

const char *stack_refusal(const struct segue_plan *plan, const struct segue_regs *regs)
{
    const struct segue_insn *insn = &plan->insn;
    unsigned kind = orders_of(insn)->transfer.kind;
    if (kind == INSN_TRANSFER_NONE)
        return "no engine carries out this instruction";
    if (kind == INSN_TRANSFER_ENTER)
        return enter_refusal(plan);
    bool far = far_does(insn);
    if ((is_branch(kind) || far) && kind != INSN_TRANSFER_JUMP && kind != INSN_TRANSFER_JUMP_FAR &&
        shadow_stack_in_force())
        return "the thread has a shadow stack";
    if (far)
        return regs->selectors[SEGUE_SEGMENT_CS] ? far_refusal(plan) : no_selectors;
    for (unsigned i = 0; i < insn->memory_count; i++)
        if (insn->memory[i].size != sizeof(void *) && (insn->memory[i].size != 2 || is_branch(kind)))
            return "processors disagree about its operand size";
    return moves_segment(insn) ? segment_refusal(insn, regs) : NULL;
}

static void begin(struct transfer *transfer, const struct segue_plan *plan, const struct segue_regs *regs)
{
    *transfer =
        (struct transfer){.plan = plan, .operands = operands_of(&plan->insn), .size = sizeof(void *), .after = *regs};
    for (uint32_t i = 0; i < plan->access_count; i++) {
        unsigned operand = plan->accesses[i].operand;
        transfer->copies.of.address[operand] = plan->accesses[i].address;
        transfer->copies.of.size[operand] = plan->accesses[i].size;
        transfer->copies.bytes[operand] = (uint8_t *)&transfer->values[operand];
    }
    if (transfer->operands.stack >= 0)
        transfer->size = plan->insn.memory[transfer->operands.stack].size;
    transfer->after.rip += plan->insn.length;
}

/* The operand that is pushed or jumped to: a register, memory, or an immediate. */
static uint64_t source(const struct transfer *transfer, const struct segue_regs *regs)
{
    const struct insn_transfer *orders = &orders_of(&transfer->plan->insn)->transfer;
    if (orders->reg != SEGUE_REGISTER_NONE)
        return segue_register_get(regs, orders->reg);
    if (orders->is_immediate)
        return (uint64_t)orders->value;
    return transfer->values[transfer->operands.other];
}

static void set_register(struct transfer *transfer, unsigned number, uint64_t value)
{
    uint64_t *reg = segue_register_at(&transfer->after, number);
    *reg = transfer->size == 2 ? (*reg & ~UINT64_C(0xffff)) | (value & 0xffff) : value;
}

static void push(struct transfer *transfer, uint64_t value)
{
    transfer->values[transfer->operands.stack] = value;
    transfer->after.rsp -= transfer->size;
}

static void pop(struct transfer *transfer)
{
    uint8_t reg = orders_of(&transfer->plan->insn)->transfer.reg;
    uint64_t value = transfer->values[transfer->operands.stack];
    transfer->after.rsp += transfer->size;
    /* After the stack pointer has moved, since the instruction may pop into the stack pointer. */
    if (reg != SEGUE_REGISTER_NONE)
        set_register(transfer, reg, value);
    else
        transfer->values[transfer->operands.other] = value;
}

static void leave(struct transfer *transfer, const struct segue_regs *regs)
{
    transfer->after.rsp = regs->rbp + transfer->size;
    set_register(transfer, SEGUE_RBP, transfer->values[transfer->operands.stack]);
}

/* False if the instruction would change flags that a handler cannot change. */
static bool pop_flags(struct transfer *transfer)
{
    uint64_t mask = transfer->size == 2 ? FLAGS_POPPED & 0xffff : FLAGS_POPPED;
    uint64_t before = transfer->after.rflags, value = transfer->values[transfer->operands.stack];
    transfer->after.rsp += transfer->size;
    transfer->after.rflags = (before & ~mask) | (value & mask);
    return !((before ^ transfer->after.rflags) & FLAGS_KEPT);
}

/* False if the segment would change, or might. A selector that the thread has still means what it meant when it was
 * loaded if it is null or selects a descriptor of the global table, in which Linux keeps the segments that a program
 * may load. */
static bool load_segment(const struct transfer *transfer, uint64_t value)
{
    unsigned segment = orders_of(&transfer->plan->insn)->transfer.reg;
    uint16_t selector = (uint16_t)value;
    bool has_base = segment_has_base(segment);
    return selector == transfer->after.selectors[segment] && !(selector & SELECTOR_LOCAL) &&
           (!has_base || selector <= SELECTOR_NULL_LAST);
}

/* False for a non-canonical target. */
static bool jump(struct transfer *transfer, uint64_t target)
{
    transfer->after.rip = (uintptr_t)target;
    return canonical_is(transfer->after.rip);
}

static uint64_t branch_target(const struct transfer *transfer, const struct segue_regs *regs)
{
    uint64_t target = source(transfer, regs);
    return orders_of(&transfer->plan->insn)->transfer.is_immediate ? transfer->after.rip + target : target;
}

/* The target is non-canonical, for which the branch itself would raise #GP. So does a load from it; the guard catches
 * it. */
static enum segue_status miss_target(struct transfer *transfer, uint64_t next, struct segue_fault *fault)
{
    uint8_t byte;
    if (guard_load_1((const void *)(uintptr_t)transfer->after.rip, &byte) == 0)
        return SEGUE_UNSUPPORTED;
    if (orders_of(&transfer->plan->insn)->transfer.kind == INSN_TRANSFER_CALL && vendors_push_before_target()) {
        push(transfer, next);
        enum segue_status status = pieces_write(transfer->plan, &transfer->copies, fault);
        if (status != SEGUE_OK)
            return status;
    }
    if (fault)
        *fault = (struct segue_fault){.trap = TRAP_GENERAL_PROTECTION};
    return SEGUE_FAULT;
}

/* Everything except memory. False if a branch's target is non-canonical, or if flags would change that a handler cannot
 * change. */
__attribute__((hot)) static bool carry_out(struct transfer *transfer, const struct segue_regs *regs)
{
    uint64_t next = transfer->after.rip;
    switch ((enum insn_transfer_kind)orders_of(&transfer->plan->insn)->transfer.kind) {
    case INSN_TRANSFER_PUSH:
        push(transfer, source(transfer, regs));
        return true;
    case INSN_TRANSFER_PUSH_FLAGS:
        push(transfer, regs->rflags & ~(FLAG_RESUME | FLAG_VIRTUAL_8086));
        return true;
    case INSN_TRANSFER_POP:
        pop(transfer);
        return true;
    case INSN_TRANSFER_CALL:
        if (!jump(transfer, branch_target(transfer, regs)))
            return false;
        push(transfer, next);
        return true;
    case INSN_TRANSFER_JUMP:
        return jump(transfer, branch_target(transfer, regs));
    case INSN_TRANSFER_RETURN:
        transfer->after.rsp += transfer->size + ((uint64_t)orders_of(&transfer->plan->insn)->transfer.value & 0xffff);
        return jump(transfer, transfer->values[transfer->operands.stack]);
    case INSN_TRANSFER_LEAVE:
        leave(transfer, regs);
        return true;
    case INSN_TRANSFER_POP_FLAGS:
        return pop_flags(transfer);
    case INSN_TRANSFER_PUSH_SEGMENT:
        push(transfer, regs->selectors[orders_of(&transfer->plan->insn)->transfer.reg]);
        return true;
    case INSN_TRANSFER_STORE_SEGMENT:
        transfer->values[transfer->operands.other] = regs->selectors[orders_of(&transfer->plan->insn)->transfer.reg];
        return true;
    case INSN_TRANSFER_POP_SEGMENT:
        transfer->after.rsp += transfer->size;
        return load_segment(transfer, transfer->values[transfer->operands.stack]);
    case INSN_TRANSFER_LOAD_SEGMENT:
        return load_segment(transfer, transfer->values[transfer->operands.other]);
    default:
        break;
    }
    return false;
}

enum segue_status stack_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                             struct segue_fault *fault)
{
    if (orders_of(&plan->insn)->transfer.kind == INSN_TRANSFER_ENTER)
        return enter_step(plan, regs, fault);
    if (far_does(&plan->insn))
        return far_step(transfer, plan, regs, fault);
    begin(transfer, plan, regs);
    enum segue_status status = pieces_read(plan, &transfer->copies, fault);
    if (status != SEGUE_OK)
        return status;
    if (!carry_out(transfer, regs))
        return is_branch(orders_of(&plan->insn)->transfer.kind)
                   ? miss_target(transfer, regs->rip + plan->insn.length, fault)
                   : SEGUE_UNSUPPORTED;
    status = pieces_write(plan, &transfer->copies, fault);
    if (status == SEGUE_OK)
        *regs = transfer->after;
    return status;
}
