/* plan.h: chooses the tactic of a jump, and the rooms of the bodies that it needs. Changes no code.
 *
 * SOURCES: docs/patch.md (why successors are moved to save pages). */
#ifndef SEGUE_PATCH_HOT_PLAN_H
#define SEGUE_PATCH_HOT_PLAN_H

#include <segue/patch.h>

#include "patch/hot/space/rooms.h"

/* The most successors that one jump moves. */
#define PLAN_MOVED 3u
#define PLAN_STEPS (PLAN_MOVED + 1)
/* The bytes that a plan looks at: its instructions, and what the last one's jump reads. */
#define PLAN_BYTES (PLAN_STEPS * SEGUE_INSN_BYTES + PUN_BYTES)

/* An instruction that follows the one before it in memory. */
struct plan_step {
    uint64_t address;
    /* The bytes from it on, as they will be when the jump is written. */
    const uint8_t *bytes;
    uint8_t length;
    /* It may become a jump for its predecessor; it must. */
    bool may_move, must_move;
    /* The bytes that its body needs. */
    uint32_t size;
    /* The result. */
    uint8_t prefixes, tactic;
    struct room room;
};

/* Chooses for the first of `count` steps. Stores how many of the steps become jumps, with rooms, in `used`. SEGUE_OK;
 * SEGUE_NO_MEMORY with a reason; then no room is taken. */
enum segue_status plan_make(struct plan_step *steps, unsigned count, unsigned *used, const char **refusal);

#endif
