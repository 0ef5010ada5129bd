/* details.h: what a plan has for the engines: the private part of struct segue_plan. */
#ifndef SEGUE_EMULATE_DETAILS_H
#define SEGUE_EMULATE_DETAILS_H

#include <segue/emulate.h>

/* The most pieces that windows' edges may cut a plan's accesses into. Windows of whole pages cut no instruction into so
 * many; of a repeated string a step does what few pieces hold. */
#define PLAN_PIECES (SEGUE_ACCESSES_MOST + 15)

/* A part of an access that lies in one window, or in none. Of a repeated string: in the order in
 * which it is reached, and only what the step does. */
struct plan_piece {
    /* The address that the program used. */
    uint64_t address;
    /* Where those bytes can be reached; for callback and forced windows, nothing. */
    void *host;
    /* The window, NULL for memory that is reached at its own address. */
    const struct segue_window *window;
    uint32_t size;
    /* Which of the plan's accesses it is a part of. */
    uint32_t access;
};

/* The private part. */
struct __attribute__((may_alias)) plan_details {
    /* With SEGUE_ENGINE_REPLAY: the linear address of the memory operand, wherever in it the
     * accesses begin. */
    uint64_t operand;
    /* With a repeat prefix: how many elements of each operand, the first of them first, the step
     * does at most. The accesses list all of them; the thread comes back to the instruction for the
     * others. Else 0. */
    uint64_t elements;
    uint32_t piece_count;
    struct plan_piece pieces[PLAN_PIECES];
};
_Static_assert(sizeof(struct plan_details) <= sizeof(((struct segue_plan *)0)->private_), "struct segue_plan has room for it");

/* That of a plan, const where the plan is. */
#define details_of(plan)                                                                                               \
    _Generic((plan),                                                                                                   \
        const struct segue_plan *: (const struct plan_details *)(const void *)(plan)->private_,                        \
        struct segue_plan *: (struct plan_details *)(void *)(uintptr_t)(plan)->private_)

#endif
