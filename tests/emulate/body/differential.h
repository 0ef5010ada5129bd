/* differential.h: code and its body, from the same registers: every boundary of the original instructions is compared,
 * and every place of the body is rolled back to one. */
#ifndef SEGUE_TESTS_BODY_DIFFERENTIAL_H
#define SEGUE_TESTS_BODY_DIFFERENTIAL_H

#include <stdio.h>

#include "emulate/body/body.h"
#include "stepper.h"

/* Of the memory inside and outside; of the region, which is the first half of the former; of the stack. */
#define AREA_SIZE 8192u
#define HOT_SIZE 4096u
#define STACK_SIZE 16384u
/* Above the stack pointer at the beginning. */
#define STACK_ABOVE 1024u

struct world {
    uint8_t *original, *bodies, *near, *stack;
    /* The region; its alias; an alias farther than 2 GiB; memory outside. */
    uint8_t *memory, *alias, *far_alias, *outside;
};
extern struct world world;

/* The thread's counters: bodies use none; it has some; it has none before it needs them; it can have none. */
enum world_counters {
    WORLD_COUNTERS_UNUSED,
    WORLD_COUNTERS_THERE,
    WORLD_COUNTERS_LATE,
    WORLD_COUNTERS_NEVER,
};

/* What a case varies. */
struct variation {
    enum body_mode mode;
    enum body_thunk ask;
    uint32_t sample;
    enum world_counters counters;
    bool lookup;
    /* The body's descriptor is another region's; with `lookup` this region is in the table. */
    bool is_elsewhere;
    /* The policy's answers in turn: 0 for a set bit. */
    uint64_t answers;
    /* The stack has no room for a frame. */
    bool is_stack_short;
    /* Rolled back for good at this stop, from 1 on; 0 never. */
    unsigned roll_back_at;
    unsigned most_instructions;
    uint16_t most_bytes;
    /* RSP-based, RIP-relative and similar accesses are checked. */
    bool checks_all;
    /* Bodies are built of the sites that bodies have links to, which lead there. */
    bool links;
    /* Runs without the trap flag: only the end is compared. */
    bool is_free;
    /* As the request's; and how a thread is put back that stands in what bodies call there. */
    const uint64_t *quick;
    bool (*leave_quick)(struct segue_regs *regs);
    void *slot;
};

struct outcome {
    uint64_t boundaries, stops, stops_in_thunks, plain_entries, faults, asked, missed;
    /* Increments by a thread without counters; accesses counted by the thread. */
    uint64_t lacks, by_thread;
    /* Places of bodies that threads came to by links. */
    uint64_t linked;
    struct body body;
};

/* Called at each place of a body, and of a thunk that it has called, with the registers after rolling back; and in each
 * policy. Both may be NULL. */
extern void (*world_at_place)(const struct stepper_stop *stop, const struct segue_regs *seen);
extern void (*world_in_policy)(const struct body_call *call);

/* The policy's next answer, to a question about the original instruction at `site`, which must be that one. */
int world_answer(uint64_t site);
/* The address of that instruction: for a policy without an event. */
uint64_t world_site(void);
/* What a policy sees is wrong. */
void world_is_wrong(void);

/* Maps the world. */
void world_prepare(void);

/* Writes code that changes all registers but RSP and `unused`, numbered as in encodings; less than 160 bytes. Returns
 * its size. */
size_t world_use_registers(uint8_t *code, unsigned unused);

/* Runs `size` bytes of code from `regs`, whose rip is set, until the offset `stop`: first as it is and then by its
 * body. False, and `why`, for a difference. If the body is refused: true, and outcome->body.refusal. */
bool world_compare(const uint8_t *code, size_t size, size_t stop, const struct segue_regs *regs,
                   const struct variation *variation, struct outcome *outcome, char why[256]);

#endif
