/* block.h: the original instructions of a body: read, classified, and the scratch register chosen for them. */
#ifndef SEGUE_EMULATE_BODY_BLOCK_H
#define SEGUE_EMULATE_BODY_BLOCK_H

#include "body.h"
#include "decode/relocate/displaced.h"
#include "decode/scratch.h"

/* How the builder treats an instruction. */
enum block_kind {
    /* Copied; it goes on with the next one. */
    BLOCK_PLAIN,
    /* Its access is checked. */
    BLOCK_CHECKED,
    BLOCK_CONDITIONAL,
    /* The last one: a direct jump; a jump or return that is copied; one whose target is loaded by a checked access. */
    BLOCK_JUMP,
    BLOCK_LAST,
    BLOCK_CHECKED_JUMP,
    BLOCK_CHECKED_CALL,
};

struct block_instruction {
    struct displaceable form;
    /* enum block_kind. */
    uint8_t kind;
    /* The flags must be in place before it; of them only CF, since it overwrites the others. */
    bool needs_flags, needs_carry;
    /* The frame must be closed before it. */
    bool needs_stack;
};

/* The most instructions between the end of a block and the next site. */
#define BLOCK_WAY 8u
/* And of all ways of a block; each has one more, which is the site. */
#define BLOCK_WAYS 48u

/* Where the block leads to: first to `count` plain instructions, `first` is their number in `ways`; then to what may be
 * a site. */
struct block_exit {
    /* enum block_exit_kind. */
    uint8_t kind;
    uint8_t first, count;
    uint64_t site;
};

enum block_exit_kind {
    BLOCK_EXIT_UNKNOWN,
    BLOCK_EXIT_TO_SITE,
    BLOCK_EXIT_ELSEWHERE,
};

struct block {
    unsigned count;
    /* By the targets of branches, and behind so many instructions. */
    struct block_exit targets[BODY_INSTRUCTIONS], ends[BODY_INSTRUCTIONS + 1];
    struct block_instruction ways[BLOCK_WAYS];
    unsigned way_count;
    /* enum segue_register. */
    uint8_t scratch_register;
    struct block_instruction instructions[BODY_INSTRUCTIONS];
};

static inline bool block_is_checked(const struct block_instruction *instruction)
{
    return instruction->kind == BLOCK_CHECKED || instruction->kind == BLOCK_CHECKED_JUMP ||
           instruction->kind == BLOCK_CHECKED_CALL;
}

/* Where the thread goes on is loaded by the access. */
static inline bool block_is_transfer(const struct block_instruction *instruction)
{
    return instruction->kind == BLOCK_CHECKED_JUMP || instruction->kind == BLOCK_CHECKED_CALL;
}

static inline bool block_reads(const struct block_instruction *instruction, unsigned reg)
{
    return instruction->form.effects.reads >> reg & 1;
}

static inline bool block_writes(const struct block_instruction *instruction, unsigned reg)
{
    return instruction->form.effects.writes >> reg & 1;
}

/* Reads the block at request->site. Returns NULL, or why it has no instruction. */
const char *block_read(struct decode_scratch *decode, const struct body_request *request, struct block *block);

/* Finds out where the block leads to at that address. */
void block_follow(struct decode_scratch *decode, const struct body_request *request, struct block *block,
                  uint64_t address, struct block_exit *exit);

/* Chooses the scratch register for the first `count` instructions. */
void block_choose_scratch(struct block *block);

#endif
