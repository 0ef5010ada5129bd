/* access_run.h: what the files of access_case.h share: one instruction, where its operands are put, and what its list
 * says of a run in which pages are closed. */
#ifndef SEGUE_TESTS_ACCESS_RUN_H
#define SEGUE_TESTS_ACCESS_RUN_H

#include "access_case.h"
#include "decode/x86/page.h"

/* An arena for each general register: its operands are put around the edge in the middle. One more goes where an
 * operand is that no register moves. */
#define REGISTERS 16u
#define ARENAS (REGISTERS + 1)
#define ROAMING REGISTERS
#define ARENA_PAGES 8u
#define ARENA_SIZE (ARENA_PAGES * PAGE)
#define ARENA_STRIDE (2u * ARENA_SIZE)
#define SLOT_BASE 0x14000000u
/* At least as many as a page has bytes: since their size is odd, there is one for each place in a page that an operand
 * relative to the instruction pointer can have. */
#define SLOTS PAGE
#define IMAGE_MAX 4096u

/* The bit that is always set, and the one of interrupts. */
#define FLAGS_SET 0x202u

struct run {
    const struct segue_insn *insn;
    struct segue_regs regs;
    struct segue_xstate xstate;
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count;
    /* Where the instruction stands. */
    size_t slot;
    struct random *random;
    struct access_report *report;
};

/* The vector state that the instruction runs with, and what the arenas held before it. */
extern uint8_t image[IMAGE_MAX];
extern uint8_t before[ARENAS][ARENA_SIZE];

/* ---- access_place.c ---- */

/* NULL while the roaming one is nowhere. */
uint8_t *arena(unsigned number);
/* The edge in the middle of an arena, at which operands are put. */
uint64_t arena_middle(unsigned number);
/* The arena in which all of these bytes lie; ARENAS if there is no such arena. */
unsigned arena_of(uint64_t address, uint64_t size);
bool in_arenas(uint64_t address, uint64_t size);

/* Asks for the accesses. */
enum segue_status run_list(struct run *run);
void run_random_state(struct run *run);
/* Moves access `number` so that its byte `inside` stands at the edge in the middle of an arena, or within as many bytes
 * of it as its register is multiplied by; what no register moves gets an arena where it is. */
bool run_place(struct run *run, size_t number, uint64_t inside);
bool run_in_arenas(const struct run *run);
/* Each operand of its own moved into the arena of its base. */
bool run_settle(struct run *run);

/* ---- access_expect.c ---- */

/* A byte range of an access that lies in a closed page. */
struct stop {
    size_t access;
    uint64_t first, end;
    /* The address that the processor reports; 0: any in the range. */
    uint64_t reported;
    bool writes;
};

#define STOPS_MOST 256

/* What the list says of a run in which one page, or two, are closed: it must fault or may, at one of these; it must
 * raise #GP unless it stopped before. */
struct expectation {
    bool must;
    bool misaligned;
    size_t count;
    struct stop stops[STOPS_MOST];
};

/* The protection of one page. */
struct closed {
    uint64_t page;
    int protection;
};

/* In the order of the list; the elements of repeated ones take turns. What is misaligned raises #GP when it is its
 * turn: MOVDIR64B finds its source closed before it looks at where to store. */
void run_expect(const struct run *run, const struct closed *closed, size_t closed_count,
                struct expectation *expectation);

#endif
