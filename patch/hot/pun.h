/* pun.h: how a jump fits into an instruction that is shorter than the jump. Pure: works on bytes and addresses alone.
 *
 * A direct jump has five bytes: E9 and a displacement of four. Over an instruction of five bytes or more it is written
 * in place (B1). Over a shorter one only the first bytes of the displacement can be chosen, and the rest are the bytes
 * that follow the instruction and stay as they are: a pun (B2). Redundant prefixes before E9 shift the displacement, so
 * that other bytes of the successor become its end (T1). If the successor becomes a jump of its own first, the pun ends
 * in that jump's E9 and in low bytes of its displacement, which can be chosen (T2). No instruction boundary disappears:
 * a thread may jump to the successor, before and after.
 *
 * A pun reads its successor's bytes: it depends on each instruction that it reaches into. Before an instruction
 * changes, all puns that depend on it must be undone, and the puns that depend on them, transitively.
 *
 * SOURCES: Duck, Gao, Roychoudhury, "Binary Rewriting without Control Flow Recovery" (PLDI 2020): the names of the
 * tactics; Intel SDM volume 2, JMP and 2.1.1: in 64-bit mode the prefixes of CS, DS, ES and SS are ignored. Not 66: AMD
 * and Intel disagree about it. */
#ifndef SEGUE_PATCH_HOT_PUN_H
#define SEGUE_PATCH_HOT_PUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of a jump without prefixes. */
#define PUN_JUMP 5u
/* The most prefixes before it, and the most bytes of a jump. */
#define PUN_PREFIXES 3u
#define PUN_BYTES (PUN_JUMP + PUN_PREFIXES)
/* The most bytes of a displacement that belong to a successor's jump and can be chosen: those behind its E9. */
#define PUN_CHOSEN 3u

/* The targets that a jump may have: origin + displacement, for each displacement of 32 bits (signed) with
 * (displacement & mask) == value. Addresses outside those of programs are no targets. */
struct pun_window {
    uint64_t origin;
    uint32_t mask, value;
};

/* The number of bytes that change at an instruction of `length` bytes: at most `length`. */
unsigned pun_changed(unsigned length, unsigned prefixes);

/* The number of bytes behind the instruction that its jump reads. */
unsigned pun_reach(unsigned length, unsigned prefixes);

/* The window of a jump at `address`. `bytes` has pun_changed + pun_reach bytes, as they will be when the jump is
 * written; those that change are not read. False if the instruction has no byte left for E9, or there are too many
 * prefixes. */
bool pun_window(uint64_t address, const uint8_t *bytes, unsigned length, unsigned prefixes, struct pun_window *window);

/* The window for T2, at an instruction of `length` bytes, fewer than five: its successor becomes a jump without
 * prefixes. False if the instruction has no byte left for E9, or its jump reaches no successor. */
bool pun_window_moved(uint64_t address, unsigned length, struct pun_window *window);

/* The end of the jump's displacement is the beginning of its successor's, which is a jump without prefixes: narrows
 * both windows to the bytes that they share. False if they contradict each other. */
bool pun_join(unsigned length, struct pun_window *window, struct pun_window *successor);

/* Narrows the window to one of its targets. */
void pun_fix(struct pun_window *window, uint64_t target);

/* The number of bits of the displacement that can be chosen. */
static inline unsigned pun_freedom(const struct pun_window *window)
{
    return (unsigned)__builtin_popcount(~window->mask);
}

/* Whether the window has that target. */
bool pun_has(const struct pun_window *window, uint64_t target);

/* The lowest target that is not below `from`; false without such a target. */
bool pun_next(const struct pun_window *window, uint64_t from, uint64_t *target);

/* The highest target, though it may be beyond programs' addresses; false without one. */
bool pun_last(const struct pun_window *window, uint64_t *target);

/* The jump with that target: `changed` receives pun_changed bytes. False if the window does not have the target. */
bool pun_encode(uint64_t address, const uint8_t *bytes, unsigned length, unsigned prefixes, uint64_t target,
                uint8_t *changed);

/* The target of a jump that pun_encode made, from its bytes in memory, successor's included. */
uint64_t pun_target(uint64_t address, const uint8_t *bytes, unsigned prefixes);

/* A changed instruction, for the questions below. */
struct pun_place {
    uint64_t address;
    uint8_t length, prefixes;
};

/* Whether the jump at `jump` reads bytes that change when the instruction at `other` changes. */
bool pun_depends(const struct pun_place *jump, const struct pun_place *other);

/* The lowest address at which a jump may be that reads the byte at `address`. */
static inline uint64_t pun_lowest_dependent(uint64_t address)
{
    return address < PUN_BYTES ? 0 : address - PUN_BYTES + 1;
}

/* Sorts places so that each comes before those that depend on it: from the highest address down. */
void pun_order(struct pun_place *places, size_t count);

#endif
