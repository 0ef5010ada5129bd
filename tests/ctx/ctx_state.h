/* ctx_state.h: a thread's whole state, random, dumped and compared. What is left out of a comparison is named here: the
 * last x87 instruction's addresses (processors differ in when they keep them), and what XSAVE calls reserved. */
#ifndef SEGUE_TESTS_CTX_STATE_H
#define SEGUE_TESTS_CTX_STATE_H

#include <cpuid.h>
#include <segue/regs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define AREA_SIZE 4096
#define XSTATE_HEADER 512
/* x87, SSE, AVX, and the three of AVX-512. */
#define COMPARED_FEATURES 0xe7u
/* Carry, parity, adjust, zero, sign, direction, overflow, alignment check off: a test's own code must run. */
#define RANDOM_FLAGS 0xcd5u
#define FLAGS_SET 0x202u

/* Filled by state_dump, in assembly, without changing anything before it is noted. Then state_dumped is called on a
 * stack of its own. */
extern struct segue_regs state_regs;
extern unsigned char state_area[AREA_SIZE] __attribute__((aligned(64)));
void state_dump(void);
void state_dumped(void);

/* What a test program exits with when it cannot run here. */
#define STATE_SKIPPED 77

/* state_dump stores the state by XSAVE. Without it the program that needs a dump says so. */
static inline bool state_can_be_dumped(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE))
        return true;
    puts("SKIP: the processor or the system has no XSAVE, by which the test looks at the state");
    return false;
}

static uint64_t state_seed = 0x2545f4914f6cdd1du;

static inline uint64_t state_random(void)
{
    state_seed ^= state_seed << 13;
    state_seed ^= state_seed >> 7;
    return state_seed ^= state_seed << 17;
}

/* Where a component of the extended state stands, and its size. CPUID is slow in a virtual machine: asked once each. */
static inline void state_component(unsigned number, uint32_t *offset, uint32_t *size)
{
    static uint32_t offsets[64], sizes[64];
    unsigned c, d;
    if (!sizes[number])
        __cpuid_count(0xd, number, sizes[number], offsets[number], c, d);
    *offset = offsets[number];
    *size = sizes[number];
}

static inline void state_fill_bytes(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(state_random() >> 32);
}

/* All random but the stack pointer and the instruction. */
static inline void state_fill_regs(struct segue_regs *regs)
{
    for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++)
        if (i != SEGUE_RSP)
            *segue_register_at(regs, i) = state_random();
    regs->rflags = (state_random() & RANDOM_FLAGS) | FLAGS_SET;
}

/* Random vector and x87 registers, rounding and exception masks; some components left in their initial state. */
static inline void state_fill_xstate(const struct segue_xstate *xstate)
{
    unsigned char *area = xstate->area;
    uint64_t features = xstate->features & COMPARED_FEATURES, present = features & state_random();
    uint32_t mxcsr = 0x1f80u | (uint32_t)(state_random() & 0xe03fu);
    uint16_t control = (uint16_t)(0x037f | (state_random() & 0xc00)), status = (uint16_t)(state_random() & 0x7800);
    memcpy(area, &control, 2);
    memcpy(area + 2, &status, 2);
    area[4] = (unsigned char)state_random();
    memset(area + 5, 0, 19);
    memcpy(area + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        state_fill_bytes(area + 32 + 16 * i, 10);
        memset(area + 42 + 16 * i, 0, 6);
    }
    state_fill_bytes(area + 160, 256);
    for (unsigned i = 2; i < 8; i++) {
        uint32_t offset, size;
        if (!(features >> i & 1))
            continue;
        state_component(i, &offset, &size);
        state_fill_bytes(area + offset, size);
    }
    memset(area + XSTATE_HEADER, 0, 64);
    memcpy(area + XSTATE_HEADER, &present, 8);
}

/* Whether an area's header says that the component is not in its initial state: else its bytes mean nothing. */
static inline bool state_is_present(const unsigned char *area, unsigned number)
{
    uint64_t present;
    memcpy(&present, area + XSTATE_HEADER, 8);
    return present >> number & 1;
}

static inline bool state_same_bytes(const unsigned char *wanted, const unsigned char *found, unsigned number,
                                    uint32_t offset, uint32_t size)
{
    static const unsigned char zero[AREA_SIZE];
    return memcmp(state_is_present(found, number) ? found + offset : zero,
                  state_is_present(wanted, number) ? wanted + offset : zero, size) == 0;
}

/* Whether a component is as wanted. MXCSR has its value whatever the header says. */
static inline bool state_same_component(const unsigned char *wanted, const unsigned char *found, unsigned number)
{
    uint32_t offset, size;
    if (number == 0) {
        /* Control, status, abridged tags; the registers. */
        static const unsigned char initial[5] = {0x7f, 0x03, 0, 0, 0};
        bool same = memcmp(state_is_present(found, 0) ? found : initial, state_is_present(wanted, 0) ? wanted : initial,
                           sizeof initial) == 0;
        for (unsigned i = 0; i < 8; i++)
            same &= state_same_bytes(wanted, found, 0, 32 + 16 * i, 10);
        return same;
    }
    if (number == 1)
        return memcmp(found + 24, wanted + 24, 4) == 0 && state_same_bytes(wanted, found, 1, 160, 256);
    state_component(number, &offset, &size);
    return state_same_bytes(wanted, found, number, offset, size);
}

/* The first component of `features` that differs; -1 if none does. */
static inline int state_difference(const void *wanted, const void *found, uint64_t features)
{
    for (unsigned i = 0; i < 8; i++)
        if ((features & COMPARED_FEATURES) >> i & 1 && !state_same_component(wanted, found, i))
            return (int)i;
    return -1;
}

#endif
