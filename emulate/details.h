/* details.h: the private part of struct segue_plan, for the engines. */
#ifndef SEGUE_EMULATE_DETAILS_H
#define SEGUE_EMULATE_DETAILS_H

#include <segue/emulate.h>
#include <stddef.h>

/* The most fragments into which windows' edges may cut a plan's accesses. Windows of whole pages cut no instruction
 * into so many. Of a repeated string a step carries out what a few fragments hold. */
#define PLAN_PIECES (SEGUE_ACCESSES_MOST + 15)

/* An access fragment: the part of an access that lies in one window, or in none. Fragments of a repeated string are in
 * the order in which it reaches them, and cover only what the step carries out. */
struct plan_piece {
    /* The address that the program used. */
    uint64_t address;
    /* Where those bytes can be reached; unused for callback and forced windows. */
    void *host;
    /* The window; NULL for memory that is reached at its own address. */
    const struct segue_window *window;
    uint32_t size;
    /* The index of the access in the plan. */
    uint32_t access;
};

/* The private part; the accesses are behind it, and the fragments behind them, as many as the plan has room for. */
struct __attribute__((may_alias)) plan_details {
    /* With SEGUE_ENGINE_REPLAY: the linear address of the memory operand, wherever in the operand the accesses
     * begin. */
    uint64_t operand;
    /* With a repeat prefix: the most elements of each operand that the step carries out, from the first one. The
     * accesses list all of them; the thread executes the instruction again for the rest. Else 0. */
    uint64_t elements;
    uint32_t piece_count;
    /* The most accesses, and the most fragments. */
    uint16_t most_accesses, most_pieces;
    struct plan_piece *pieces;
    struct segue_access accesses[];
};

/* The fragments that a small plan has room for beyond one for each access. */
#define PLAN_CUTS 6u

/* The bytes of a plan with room for so many accesses and fragments. */
#define PLAN_BYTES(accesses, pieces)                                                                                   \
    (offsetof(struct segue_plan, private_) + sizeof(struct plan_details) + (accesses) * sizeof(struct segue_access) +  \
     (pieces) * sizeof(struct plan_piece))
#define PLAN_BYTES_MOST PLAN_BYTES(SEGUE_ACCESSES_MOST, PLAN_PIECES)
_Static_assert(sizeof(struct segue_plan) <= SEGUE_PLAN_SIZE, "the header promises it");
_Static_assert(PLAN_BYTES(8, 8 + PLAN_CUTS) <= sizeof(struct segue_plan), "the header promises eight accesses");
_Static_assert(PLAN_BYTES_MOST <= SEGUE_PLAN_SIZE_MOST, "and that this suffices for all");
_Static_assert(offsetof(struct segue_plan, private_) % _Alignof(struct plan_details) == 0, "where the details are");

/* A member `name` that is a plan with room for all. */
#define LARGE_PLAN(name)                                                                                               \
    union {                                                                                                            \
        struct segue_plan name;                                                                                        \
        uint64_t name##_room[(PLAN_BYTES_MOST + 7) / 8];                                                               \
    }

/* The private part of a plan; const if the plan is const. */
#define details_of(plan)                                                                                               \
    _Generic((plan),                                                                                                   \
        const struct segue_plan *: (const struct plan_details *)(const void *)(plan)->private_,                        \
        struct segue_plan *: (struct plan_details *)(void *)(uintptr_t)(plan)->private_)

#endif
