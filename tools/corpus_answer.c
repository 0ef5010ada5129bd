/* corpus_answer.c: how two answers to one row differ. */
#include "corpus_answer.h"

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

/* Told by both, and not the same. */
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
