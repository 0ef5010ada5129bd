/* orders.h: what decode works out for the engines: the private part of struct segue_insn. */
#ifndef SEGUE_DECODE_ORDERS_H
#define SEGUE_DECODE_ORDERS_H

#include <segue/decode.h>

/* What a plain move does; the move engine's orders. */
enum insn_move_kind {
    /* The instruction is no plain move. */
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
    /* Bytes of that register that take part: 1, 2, 4 or 8. */
    uint8_t reg_size;
    /* 8 when the register is AH, BH, CH or DH: where its bits begin; else 0. */
    uint8_t reg_shift;
    /* For INSN_MOVE_STORE_IMMEDIATE: the value, sign-extended to 64 bits. */
    int64_t immediate;
};

/* What an instruction does with the stack or the instruction pointer; the stack engine's orders. */
enum insn_transfer_kind {
    /* Something else, or nothing. */
    INSN_TRANSFER_NONE,
    INSN_TRANSFER_PUSH,
    INSN_TRANSFER_PUSH_FLAGS,
    INSN_TRANSFER_POP,
    /* Near ones; `value` is relative to the next instruction. */
    INSN_TRANSFER_CALL,
    INSN_TRANSFER_JUMP,
    INSN_TRANSFER_RETURN,
    INSN_TRANSFER_LEAVE,
    INSN_TRANSFER_POP_FLAGS,
    INSN_TRANSFER_ENTER,
    /* A segment register, to or from the stack, or by MOV to or from memory: `reg` is an enum
     * segue_segment. */
    INSN_TRANSFER_PUSH_SEGMENT,
    INSN_TRANSFER_POP_SEGMENT,
    INSN_TRANSFER_STORE_SEGMENT,
    INSN_TRANSFER_LOAD_SEGMENT,
    /* Far ones: the new CS comes with the offset. */
    INSN_TRANSFER_CALL_FAR,
    INSN_TRANSFER_JUMP_FAR,
    INSN_TRANSFER_RETURN_FAR,
    INSN_TRANSFER_INTERRUPT_RETURN,
};

/* A transfer between the stack, the instruction pointer or a segment register and something else.
 */
struct insn_transfer {
    /* enum insn_transfer_kind. */
    uint8_t kind;
    /* enum segue_register, of segment registers enum segue_segment: what is pushed, popped, moved
     * or jumped to; SEGUE_REGISTER_NONE for memory or `value`. */
    uint8_t reg;
    /* It is neither register nor memory, but `value`. */
    uint8_t is_immediate;
    /* The immediate, sign-extended; what RET releases, in bytes. */
    int64_t value;
};

/* How an instruction can be made to find its memory elsewhere. */
enum insn_redirection_kind {
    /* Not worked out yet. segue_decode leaves it so; segue_decode_cached and segue_plan work it
     * out. */
    INSN_REDIRECTION_UNKNOWN,
    /* It cannot. */
    INSN_REDIRECTION_NONE,
    /* Its memory operand has become [base]. */
    INSN_REDIRECTION_OPERAND,
    /* It names no address: the registers that it takes its addresses from are to hold others. */
    INSN_REDIRECTION_IMPLICIT,
};

/* The instruction in a form that does the same to memory at another address: without segments, in
 * 64 bits of address, and without the stack pointer. */
struct insn_redirection {
    /* The bytes, zero beyond `length`. */
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t length;
    /* enum insn_redirection_kind. */
    uint8_t kind;
    /* With INSN_REDIRECTION_OPERAND: the general register that is to hold the operand's address,
     * index and mask apart. The instruction does not use it otherwise. */
    uint8_t base;
    /* The general register that stands in for RSP, or for the register that is a bit offset, which
     * is then to be a bit's number within the operand; SEGUE_REGISTER_NONE if none does. */
    uint8_t stand_in;
    /* The state components that the instruction reads or changes, as in XCR0. */
    uint8_t state;
    /* The instruction's own ModRM byte: an x87 instruction leaves it in the opcode field. */
    uint8_t modrm;
};

/* The private part. */
struct __attribute__((may_alias)) insn_orders {
    struct insn_move move;
    struct insn_transfer transfer;
    struct insn_redirection redirection;
};
_Static_assert(sizeof(struct insn_orders) <= sizeof(((struct segue_insn *)0)->private_), "struct segue_insn has room for it");

static inline const struct insn_orders *orders_of(const struct segue_insn *insn)
{
    return (const struct insn_orders *)(const void *)insn->private_;
}

static inline struct insn_orders *orders_in(struct segue_insn *insn)
{
    return (struct insn_orders *)(void *)insn->private_;
}

#endif
