/* details.h: the private part of struct segue_plan, for the engines. */
#ifndef SEGUE_EMULATE_DETAILS_H
#define SEGUE_EMULATE_DETAILS_H

#include <segue/emulate.h>

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

/* The private part. */
struct __attribute__((may_alias)) plan_details {
    /* With SEGUE_ENGINE_REPLAY: the linear address of the memory operand, wherever in the operand the accesses
     * begin. */
    uint64_t operand;
    /* With a repeat prefix: the most elements of each operand that the step carries out, from the first one. The
     * accesses list all of them; the thread executes the instruction again for the rest. Else 0. */
    uint64_t elements;
    uint32_t piece_count;
    struct plan_piece pieces[PLAN_PIECES];
};
_Static_assert(sizeof(struct plan_details) <= sizeof(((struct segue_plan *)0)->private_),
               "struct segue_plan has room for it");

/* The private part of a plan; const if the plan is const. */
#define details_of(plan)                                                                                               \
    _Generic((plan),                                                                                                   \
        const struct segue_plan *: (const struct plan_details *)(const void *)(plan)->private_,                        \
        struct segue_plan *: (struct plan_details *)(void *)(uintptr_t)(plan)->private_)

#endif
