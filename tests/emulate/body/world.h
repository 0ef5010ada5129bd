/* world.h: the memory that code and its body run in (see differential.h), and what is compared of it. */
#ifndef SEGUE_TESTS_BODY_WORLD_H
#define SEGUE_TESTS_BODY_WORLD_H

#include "differential.h"

#define CODE_SIZE 0x4000u
#define BODIES_SIZE 0x8000u
#define NEAR_SIZE 0x2000u
#define RED_ZONE 128
/* The words of the thunks, in `near`. */
#define THUNKS_AT 64u

static inline bool is_in(uint64_t address, const uint8_t *begin, size_t size)
{
    return address - (uint64_t)(uintptr_t)begin < size;
}

/* Whether the region can be accessed at its own addresses. */
void world_open(bool opened);

/* The memory inside and outside, and the stack, as at the beginning. */
void world_fill(void);

/* The program's memory, as it is to be at those registers; what lies below `red_zone` may change at any time. And its
 * x87 and vector state. */
uint64_t world_hash_memory(const struct segue_regs *regs, uint64_t red_zone);
uint64_t world_hash_state(const void *state);

/* Of the instruction at those registers: how many of its accesses are wholly in the region. */
unsigned world_accesses_inside(const struct segue_regs *regs, const void *state);

#endif
