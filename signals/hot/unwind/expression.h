/* expression.h: writes DWARF expressions.
 *
 * Only operations that the evaluators of libgcc, of both libunwinds and of gdb have, with the same result: no
 * comparison, which is signed in some and unsigned in others.
 *
 * SOURCES: DWARF 5, 2.5 (expressions), 7.7.1 (their encoding). */
#ifndef SEGUE_SIGNALS_HOT_UNWIND_EXPRESSION_H
#define SEGUE_SIGNALS_HOT_UNWIND_EXPRESSION_H

#include <stdint.h>

/* DWARF's numbers. */
enum expression_operation {
    EXPRESSION_DEREF = 0x06,
    EXPRESSION_CONST1U = 0x08,
    EXPRESSION_CONST2U = 0x0a,
    EXPRESSION_CONST8U = 0x0e,
    EXPRESSION_DUP = 0x12,
    EXPRESSION_DROP = 0x13,
    EXPRESSION_OVER = 0x14,
    EXPRESSION_PICK = 0x15,
    EXPRESSION_SWAP = 0x16,
    /* The top becomes the third. */
    EXPRESSION_ROT = 0x17,
    EXPRESSION_AND = 0x1a,
    EXPRESSION_MINUS = 0x1c,
    EXPRESSION_MUL = 0x1e,
    EXPRESSION_OR = 0x21,
    EXPRESSION_PLUS = 0x22,
    EXPRESSION_PLUS_UCONST = 0x23,
    EXPRESSION_SHL = 0x24,
    EXPRESSION_SHR = 0x25,
    /* Jumps if the top, which is removed, is not 0. */
    EXPRESSION_BRA = 0x28,
    EXPRESSION_SKIP = 0x2f,
    EXPRESSION_LIT0 = 0x30,
    EXPRESSION_BREG0 = 0x70,
    EXPRESSION_DEREF_SIZE = 0x94,
};

/* Bytes beyond the room are only counted. */
struct expression {
    uint8_t *bytes;
    uint32_t used, room;
};

void expression_byte(struct expression *to, unsigned byte);

/* An unsigned number of variable length; of two bytes, which may be set later; of a fixed size. */
void expression_number(struct expression *to, uint64_t number);
uint32_t expression_length(struct expression *to);
void expression_set_length(struct expression *to, uint32_t place);
void expression_fixed(struct expression *to, uint64_t number, unsigned size);

/* Operations without an operand, in order; the last one is followed by a 0 as an argument. */
void expression_operations(struct expression *to, const uint8_t *operations, unsigned count);
#define DO(to, ...) expression_operations(to, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

void expression_constant(struct expression *to, uint64_t constant);
/* Top plus a constant. */
void expression_add(struct expression *to, uint64_t constant);
/* Top shifted: to the right, to the left. */
void expression_right(struct expression *to, unsigned bits);
void expression_left(struct expression *to, unsigned bits);
void expression_pick(struct expression *to, unsigned depth);
/* The top is an address, to which `offset` is added: it becomes what is there, in `size` bytes. */
void expression_load(struct expression *to, uint64_t offset, unsigned size);
/* The value of a register, by DWARF's number. */
void expression_register(struct expression *to, unsigned number);

/* Jumps forward, from the place that is returned to where expression_land is called; and back. */
uint32_t expression_jump(struct expression *to, enum expression_operation how);
void expression_land(struct expression *to, uint32_t place);
void expression_jump_back(struct expression *to, enum expression_operation how, uint32_t target);

#endif
