/* enter.c: ENTER, in straight C. It pushes the frame pointer, the pointers of the enclosing frames, which it reads from
 * below the old frame pointer, and the new frame pointer. At its end it probes the stack for a write. It runs word by
 * word in the order of the plan, since words pushed before a fault stay in memory. If it reads words that it pushes
 * itself, processors differ in the order.
 *
 * SOURCES: Intel SDM volume 2, ENTER; volume 1, 6.5.1. */
#include "enter.h"

#include "emulate/accesses/pieces.h"

static bool overlap(const struct segue_access *left, const struct segue_access *right)
{
    return left->address < right->address + right->size && right->address < left->address + left->size;
}

const char *enter_refusal(const struct segue_plan *plan)
{
    for (uint32_t i = 0; i < plan->access_count; i++)
        for (uint32_t k = 0; k < plan->access_count; k++)
            if (plan->accesses[i].direction == SEGUE_READ && plan->accesses[k].direction == SEGUE_WRITE &&
                overlap(&plan->accesses[i], &plan->accesses[k]))
                return "it reads stack words that it pushes itself";
    return NULL;
}

/* With a nesting level, the last word pushed is the new frame pointer. */
static bool is_new_frame(const struct segue_plan *plan, uint32_t number)
{
    uint32_t next = number + 1;
    return plan->insn.memory[0].lanes &&
           (next == plan->access_count || (plan->accesses[next].flags & SEGUE_ACCESS_PROBE));
}

enum segue_status enter_step(const struct segue_plan *plan, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_memory_operand *memory = &plan->insn.memory[0];
    uint64_t word = regs->rbp, frame = regs->rsp - memory->element;
    struct copies copies = {.bytes = {(uint8_t *)&word}};
    enum segue_status status = SEGUE_OK;
    for (uint32_t i = 0; i < plan->access_count && status == SEGUE_OK; i++) {
        const struct segue_access *access = &plan->accesses[i];
        copies.only = i + 1;
        copies.of.address[0] = access->address;
        copies.of.size[0] = access->size;
        if (access->direction == SEGUE_READ) {
            status = pieces_read(plan, &copies, fault);
        } else {
            if (is_new_frame(plan, i))
                word = frame;
            status = pieces_write(plan, &copies, fault);
        }
    }
    if (status != SEGUE_OK)
        return status;
    unsigned words = 1u + memory->lanes;
    regs->rbp = memory->element == 2 ? (regs->rbp & ~UINT64_C(0xffff)) | (frame & 0xffff) : frame;
    regs->rsp -= words * (uint64_t)memory->element + (uint64_t)memory->displacement;
    regs->rip += plan->insn.length;
    return SEGUE_OK;
}
