/* expression.c: see expression.h. */
#include "expression.h"

#define MORE 0x80u
#define LITERALS 32u

void expression_byte(struct expression *to, unsigned byte)
{
    if (to->used < to->room)
        to->bytes[to->used] = (uint8_t)byte;
    to->used++;
}

void expression_number(struct expression *to, uint64_t number)
{
    for (; number >= MORE; number >>= 7)
        expression_byte(to, MORE | (unsigned)(number & (MORE - 1)));
    expression_byte(to, (unsigned)number);
}

uint32_t expression_length(struct expression *to)
{
    expression_byte(to, MORE);
    expression_byte(to, 0);
    return to->used;
}

void expression_set_length(struct expression *to, uint32_t place)
{
    uint32_t length = to->used - place;
    if (to->used > to->room)
        return;
    to->bytes[place - 2] = (uint8_t)(MORE | (length & (MORE - 1)));
    to->bytes[place - 1] = (uint8_t)(length >> 7);
}

void expression_fixed(struct expression *to, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        expression_byte(to, (unsigned)(number >> 8 * i) & 0xff);
}

void expression_operations(struct expression *to, const uint8_t *operations, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        expression_byte(to, operations[i]);
}

void expression_constant(struct expression *to, uint64_t constant)
{
    if (constant < LITERALS) {
        expression_byte(to, EXPRESSION_LIT0 + (unsigned)constant);
    } else {
        unsigned size = constant <= UINT8_MAX ? 1 : constant <= UINT16_MAX ? 2 : 8;
        expression_byte(to, size == 1 ? EXPRESSION_CONST1U : size == 2 ? EXPRESSION_CONST2U : EXPRESSION_CONST8U);
        expression_fixed(to, constant, size);
    }
}

void expression_add(struct expression *to, uint64_t constant)
{
    if (constant == 0)
        return;
    expression_byte(to, EXPRESSION_PLUS_UCONST);
    expression_number(to, constant);
}

void expression_right(struct expression *to, unsigned bits)
{
    expression_constant(to, bits);
    expression_byte(to, EXPRESSION_SHR);
}

void expression_left(struct expression *to, unsigned bits)
{
    expression_constant(to, bits);
    expression_byte(to, EXPRESSION_SHL);
}

void expression_pick(struct expression *to, unsigned depth)
{
    expression_byte(to, EXPRESSION_PICK);
    expression_byte(to, depth);
}

void expression_load(struct expression *to, uint64_t offset, unsigned size)
{
    expression_add(to, offset);
    if (size == sizeof(uint64_t)) {
        expression_byte(to, EXPRESSION_DEREF);
    } else {
        expression_byte(to, EXPRESSION_DEREF_SIZE);
        expression_byte(to, size);
    }
}

void expression_register(struct expression *to, unsigned number)
{
    expression_byte(to, EXPRESSION_BREG0 + number);
    expression_byte(to, 0);
}

static void set_distance(struct expression *to, uint32_t place, uint32_t target)
{
    uint32_t distance = target - place;
    if (place > to->room)
        return;
    to->bytes[place - 2] = (uint8_t)distance;
    to->bytes[place - 1] = (uint8_t)(distance >> 8);
}

uint32_t expression_jump(struct expression *to, enum expression_operation how)
{
    expression_byte(to, how);
    expression_fixed(to, 0, 2);
    return to->used;
}

void expression_land(struct expression *to, uint32_t place)
{
    set_distance(to, place, to->used);
}

void expression_jump_back(struct expression *to, enum expression_operation how, uint32_t target)
{
    set_distance(to, expression_jump(to, how), target);
}
