/* accesses.c: an instruction and registers become the list of the accesses it will make.
 *
 * SOURCES: Intel SDM volume 1, 3.7.5 (effective addresses), volume 3, 3.4.4 (segments in 64-bit mode): an effective
 * address is truncated to the address size first; then the base of FS or GS is added in full. The other segments' bases
 * count as 0. */
#include <segue/decode.h>

static uint64_t truncate(uint64_t address, unsigned address_size)
{
    if (address_size == 4)
        return (uint32_t)address;
    if (address_size == 2)
        return (uint16_t)address;
    return address;
}

static uint64_t segment_base(unsigned segment, const struct segue_regs *regs)
{
    if (segment == SEGUE_SEGMENT_FS)
        return regs->fs_base;
    if (segment == SEGUE_SEGMENT_GS)
        return regs->gs_base;
    return 0;
}

static uint64_t plain_address(const struct segue_insn *insn, const struct segue_memory_operand *memory,
                              const struct segue_regs *regs)
{
    uint64_t address = (uint64_t)memory->displacement + segue_register_get(regs, memory->base) +
                       segue_register_get(regs, memory->index) * memory->scale;
    if (memory->base == SEGUE_RIP)
        address += insn->length;
    address = truncate(address, insn->address_size) + segment_base(memory->segment, regs);
    return insn->mode == SEGUE_MODE_32 ? (uint32_t)address : address;
}

enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                 const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                 size_t *count)
{
    (void)xstate;
    if (!insn || !regs || !count || (!accesses && capacity))
        return SEGUE_INVALID;
    *count = 0;
    for (size_t i = 0; i < insn->memory_count; i++)
        if (insn->memory[i].addressing != SEGUE_ADDRESSING_PLAIN)
            return SEGUE_UNSUPPORTED;

    for (size_t i = 0; i < insn->memory_count; i++) {
        const struct segue_memory_operand *memory = &insn->memory[i];
        if (i < capacity)
            accesses[i] = (struct segue_access){
                .address = plain_address(insn, memory, regs),
                .size = memory->size,
                .direction = memory->direction,
                .segment = memory->segment,
            };
    }
    *count = insn->memory_count;
    return *count > capacity ? SEGUE_TOO_SMALL : SEGUE_OK;
}
