/* aim.h: random places in the areas, and the registers, or the displacement, that make an operand's address one of
 * them. Solved from Zydis' operands, not from the library's. */
#ifndef SEGUE_TESTS_AIM_H
#define SEGUE_TESTS_AIM_H

#include <Zydis/Zydis.h>

#include "tests/differential/states/generate.h"

/* `next`: where the instruction ends. `operand`: the one that is being aimed. */
struct aim_target {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operand;
    struct test_case *test;
    uint64_t next;
};

/* A place for an operand: at page edges, across them (with its first byte, its last one, or half of it on the page),
 * misaligned, aligned. */
uint64_t aim_choose_place(const struct generator *generator, struct random *random, unsigned size);

/* Aims every memory operand; strings have two. False for an instruction without any, and if one cannot be aimed. */
bool aim_operands(struct aim_target *target, const ZydisDecodedOperand *operands, const struct generator *generator,
                  struct random *random);

#endif
