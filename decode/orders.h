/* orders.h: the private part of struct segue_insn: what decoding prepares for the engines. */
#ifndef SEGUE_DECODE_ORDERS_H
#define SEGUE_DECODE_ORDERS_H

#include <segue/decode.h>

/* What a plain move does; for the move engine. */
enum insn_move_kind {
    /* Not a plain move. */
    INSN_MOVE_NONE,
    /* Register from memory, zero- or sign-extended where the register is wider. */
    INSN_MOVE_LOAD,
    INSN_MOVE_LOAD_SIGNED,
    /* Memory from register. */
    INSN_MOVE_STORE,
    /* Memory from immediate. */
    INSN_MOVE_STORE_IMMEDIATE,
};

/* A plain move: MOV with a memory operand, MOVZX, MOVSX, MOVSXD. */
struct insn_move {
    /* enum insn_move_kind. */
    uint8_t kind;
    /* enum segue_register: the general register on the other side. */
    uint8_t reg;
    /* How many bytes of that register the move uses: 1, 2, 4 or 8. */
    uint8_t reg_size;
    /* The lowest bit of the register: 8 for AH, BH, CH and DH, else 0. */
    uint8_t reg_shift;
    /* For INSN_MOVE_STORE_IMMEDIATE: the value, sign-extended to 64 bits. */
    int64_t immediate;
};

/* What an instruction does with the stack or the instruction pointer; for the stack engine. */
enum insn_transfer_kind {
    /* Any other instruction. */
    INSN_TRANSFER_NONE,
    INSN_TRANSFER_PUSH,
    INSN_TRANSFER_PUSH_FLAGS,
    INSN_TRANSFER_POP,
    /* Near transfers; `value` is relative to the next instruction. */
    INSN_TRANSFER_CALL,
    INSN_TRANSFER_JUMP,
    INSN_TRANSFER_RETURN,
    INSN_TRANSFER_LEAVE,
    INSN_TRANSFER_POP_FLAGS,
    INSN_TRANSFER_ENTER,
    /* A segment register to or from the stack, or by MOV to or from memory: `reg` is an enum segue_segment. */
    INSN_TRANSFER_PUSH_SEGMENT,
    INSN_TRANSFER_POP_SEGMENT,
    INSN_TRANSFER_STORE_SEGMENT,
    INSN_TRANSFER_LOAD_SEGMENT,
    /* Far transfers: they load CS as well as the offset. */
    INSN_TRANSFER_CALL_FAR,
    INSN_TRANSFER_JUMP_FAR,
    INSN_TRANSFER_RETURN_FAR,
    INSN_TRANSFER_INTERRUPT_RETURN,
};

/* A transfer between the stack, the instruction pointer or a segment register and another operand. */
struct insn_transfer {
    /* enum insn_transfer_kind. */
    uint8_t kind;
    /* enum segue_register, or enum segue_segment for a segment register: what is pushed, popped, moved or jumped to.
     * SEGUE_REGISTER_NONE for memory or `value`. */
    uint8_t reg;
    /* The operand is `value`, not a register or memory. */
    uint8_t is_immediate;
    /* The immediate, sign-extended; for RET the number of bytes that it releases. */
    int64_t value;
};

/* How an instruction's memory operand can be relocated. */
enum insn_relocation_kind {
    /* Not determined yet. segue_decode leaves it so; segue_decode_cached and segue_plan determine it. */
    INSN_RELOCATION_UNKNOWN,
    /* It cannot be relocated. */
    INSN_RELOCATION_NONE,
    /* Its memory operand has become [base]. */
    INSN_RELOCATION_OPERAND,
    /* Its addresses are in fixed registers, which must be loaded with other addresses. */
    INSN_RELOCATION_IMPLICIT,
};

/* The instruction with its memory operand relocated: without segment base, with 64-bit addresses, and without RSP. */
struct insn_relocation {
    /* The bytes, zero beyond `length`. */
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t length;
    /* enum insn_relocation_kind. */
    uint8_t kind;
    /* With INSN_RELOCATION_OPERAND: the general register that must hold the operand's address, without index and mask.
     * The instruction does not use it otherwise. */
    uint8_t base;
    /* The general register that replaces RSP, or that replaces a bit-offset register and must then hold the bit's
     * number within the operand; SEGUE_REGISTER_NONE if no register is replaced. */
    uint8_t scratch_register;
    /* The state components that the instruction reads or changes, as in XCR0. */
    uint8_t state;
    /* The instruction's own ModRM byte: an x87 instruction leaves it in the opcode field of the x87 state. */
    uint8_t modrm;
};

/* The private part. */
struct __attribute__((may_alias)) insn_orders {
    struct insn_move move;
    struct insn_transfer transfer;
    struct insn_relocation relocation;
};
_Static_assert(sizeof(struct insn_orders) <= sizeof(((struct segue_insn *)0)->private_),
               "struct segue_insn has room for it");

static inline const struct insn_orders *orders_of(const struct segue_insn *insn)
{
    return (const struct insn_orders *)(const void *)insn->private_;
}

static inline struct insn_orders *orders_in(struct segue_insn *insn)
{
    return (struct insn_orders *)(void *)insn->private_;
}

#endif
