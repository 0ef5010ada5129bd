/* answer.c: how two answers to one row differ. */
#include "answer.h"

#include <Zydis/Zydis.h>

const char *const corpus_difference_names[CORPUS_DIFFERENCES] = {"status",   "length", "mnemonic",
                                                                 "operands", "size",   "direction"};

static bool same_bits(int64_t left, int64_t right, unsigned width)
{
    uint64_t differing = (uint64_t)left ^ (uint64_t)right;
    return width >= 64 ? differing == 0 : (differing << (64 - width)) == 0;
}

static bool same_memory(const struct corpus_operand *left, const struct corpus_operand *right, unsigned address_width)
{
    return left->reg == right->reg && left->index == right->index && left->scale == right->scale &&
           left->segment == right->segment && left->broadcast == right->broadcast &&
           same_bits(left->value, right->value, address_width);
}

static bool same_operand(const struct corpus_operand *left, const struct corpus_operand *right, unsigned width,
                         unsigned address_width)
{
    if (left->kind != right->kind)
        return false;
    switch (left->kind) {
    case CORPUS_OPERAND_REGISTER:
        return left->reg == right->reg;
    case CORPUS_OPERAND_MEMORY:
        return same_memory(left, right, address_width);
    case CORPUS_OPERAND_IMMEDIATE:
        return same_bits(left->value, right->value, width);
    default:
        return left->value == right->value;
    }
}

const char *const corpus_aspect_names[CORPUS_ASPECTS] = {"count", "order",   "register",     "width",     "segment",
                                                         "base",  "index",   "displacement", "broadcast", "immediate",
                                                         "mask",  "zeroing", "rounding"};

/* Whether both are parts of the same widest register. */
static bool is_part_of_same(unsigned left, unsigned right)
{
    return left && right &&
           ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, (ZydisRegister)left) ==
               ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, (ZydisRegister)right) &&
           ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, (ZydisRegister)left) != ZYDIS_REGISTER_NONE;
}

static unsigned memory_aspects(const struct corpus_operand *left, const struct corpus_operand *right,
                               unsigned address_width)
{
    unsigned aspects = 0;
    if (left->segment != right->segment)
        aspects |= CORPUS_ASPECT_SEGMENT;
    if (left->reg != right->reg)
        aspects |= CORPUS_ASPECT_BASE;
    if (left->index != right->index || left->scale != right->scale)
        aspects |= CORPUS_ASPECT_INDEX;
    if (!same_bits(left->value, right->value, address_width))
        aspects |= CORPUS_ASPECT_DISPLACEMENT;
    if (left->broadcast != right->broadcast)
        aspects |= CORPUS_ASPECT_BROADCAST;
    return aspects;
}

static unsigned operand_aspects(const struct corpus_operand *left, const struct corpus_operand *right, unsigned width,
                                unsigned address_width)
{
    if (same_operand(left, right, width, address_width))
        return 0;
    if (left->kind != right->kind)
        return CORPUS_ASPECT_COUNT;
    switch (left->kind) {
    case CORPUS_OPERAND_REGISTER:
        return is_part_of_same(left->reg, right->reg) ? CORPUS_ASPECT_WIDTH : CORPUS_ASPECT_REGISTER;
    case CORPUS_OPERAND_MEMORY:
        return memory_aspects(left, right, address_width);
    default:
        return CORPUS_ASPECT_IMMEDIATE;
    }
}

/* Each operand of one answer is among those of the other. */
static bool is_reordered(const struct corpus_answer *left, const struct corpus_answer *right, unsigned width,
                         unsigned address_width)
{
    unsigned taken = 0;
    for (size_t i = 0; i < left->operand_count; i++) {
        size_t j = 0;
        while (j < right->operand_count &&
               ((taken >> j & 1) || !same_operand(&left->operands[i], &right->operands[j], width, address_width)))
            j++;
        if (j == right->operand_count)
            return false;
        taken |= 1u << j;
    }
    return true;
}

unsigned corpus_aspects(const struct corpus_answer *zydis, const struct corpus_answer *other, unsigned width,
                        unsigned address_width)
{
    unsigned aspects = 0, operands = 0;
    if (zydis->mask != other->mask)
        aspects |= CORPUS_ASPECT_MASK;
    if (zydis->zeroing != other->zeroing)
        aspects |= CORPUS_ASPECT_ZEROING;
    if (zydis->rounding != other->rounding)
        aspects |= CORPUS_ASPECT_ROUNDING;
    if (zydis->operand_count != other->operand_count)
        return aspects | CORPUS_ASPECT_COUNT;
    for (size_t i = 0; i < zydis->operand_count; i++)
        operands |= operand_aspects(&zydis->operands[i], &other->operands[i], width, address_width);
    if (operands && is_reordered(zydis, other, width, address_width))
        operands = CORPUS_ASPECT_ORDER;
    return aspects | operands;
}

/* Whether both report a value, and the values differ. */
static bool contradicts(unsigned left, unsigned right)
{
    return left && right && left != right;
}

unsigned corpus_differences(const struct corpus_answer *zydis, const struct corpus_answer *other, unsigned width,
                            unsigned address_width)
{
    if (other->status == CORPUS_NOT_ASKED)
        return 0;
    if (zydis->status != other->status)
        return CORPUS_DIFFERS_STATUS;
    if (zydis->status == CORPUS_REFUSED)
        return 0;
    if (zydis->length != other->length)
        return CORPUS_DIFFERS_LENGTH;
    if (zydis->mnemonic != other->mnemonic)
        return CORPUS_DIFFERS_MNEMONIC;

    unsigned differences = 0;
    if (zydis->operand_count != other->operand_count || zydis->mask != other->mask ||
        zydis->zeroing != other->zeroing || zydis->rounding != other->rounding)
        return CORPUS_DIFFERS_OPERANDS;
    for (size_t i = 0; i < zydis->operand_count; i++) {
        const struct corpus_operand *left = &zydis->operands[i], *right = &other->operands[i];
        if (!same_operand(left, right, width, address_width))
            return CORPUS_DIFFERS_OPERANDS;
        if (contradicts(left->size, right->size))
            differences |= CORPUS_DIFFERS_SIZE;
        if (contradicts(left->direction, right->direction))
            differences |= CORPUS_DIFFERS_DIRECTION;
    }
    return differences;
}
