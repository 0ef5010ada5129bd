/* move.c: MOV, MOVZX, MOVSX and MOVSXD between memory and a general register or an immediate, in straight C; it needs
 * no executable memory. A register changes only after the memory has been read.
 *
 * SOURCES: Intel SDM volume 1, 3.4.1.1: a 32-bit result clears the register's upper half, an 8- or 16-bit one keeps the
 * rest. */
#include "move.h"

#include "decode/orders.h"
#include "emulate/accesses/pieces.h"

static uint64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (uint64_t)((int64_t)(value << unused) >> unused);
}

static void register_write(const struct insn_move *move, struct segue_regs *regs, uint64_t value)
{
    uint64_t *reg = segue_register_at(regs, move->reg);
    uint64_t mask = move->reg_size == 2 ? 0xffff : 0xff;
    if (move->reg_size == 8)
        *reg = value;
    else if (move->reg_size == 4)
        *reg = (uint32_t)value;
    else
        *reg = (*reg & ~(mask << move->reg_shift)) | (value & mask) << move->reg_shift;
}

__attribute__((hot)) enum segue_status move_step(const struct segue_plan *plan, struct segue_regs *regs,
                                                 struct segue_fault *fault)
{
    const struct insn_move *move = &orders_of(&plan->insn)->move;
    uint64_t value = 0;
    const struct copies copies = {.of = {{plan->accesses[0].address}, {plan->accesses[0].size}},
                                  .bytes = {(uint8_t *)&value}};
    enum segue_status status;
    switch ((enum insn_move_kind)move->kind) {
    case INSN_MOVE_LOAD:
    case INSN_MOVE_LOAD_SIGNED:
        status = pieces_read(plan, &copies, fault);
        if (status != SEGUE_OK)
            return status;
        if (move->kind == INSN_MOVE_LOAD_SIGNED)
            value = sign_extend(value, (unsigned)plan->accesses[0].size);
        register_write(move, regs, value);
        return SEGUE_OK;
    case INSN_MOVE_STORE:
        value = segue_register_get(regs, move->reg) >> move->reg_shift;
        return pieces_write(plan, &copies, fault);
    case INSN_MOVE_STORE_IMMEDIATE:
        value = (uint64_t)move->immediate;
        return pieces_write(plan, &copies, fault);
    case INSN_MOVE_NONE:
        break;
    }
    return SEGUE_INVALID;
}
