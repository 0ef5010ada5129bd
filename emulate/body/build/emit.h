/* emit.h: emits a body's own instructions, and keeps account of where the application's registers and flags are. */
#ifndef SEGUE_EMULATE_BODY_EMIT_H
#define SEGUE_EMULATE_BODY_EMIT_H

#include "emulate/body/block.h"
#include "emulate/body/table.h"

/* Places of a register or of the flags; a set, of which each member is valid. */
enum emit_place {
    EMIT_LIVE = 1,
    EMIT_SLOT = 2,
    /* Of flags: AX, as LAHF and SETO leave it. */
    EMIT_AX = 4,
};

struct emit_state {
    /* Sets of places. */
    uint8_t rax, scratch, flags;
    bool is_open, is_counted, is_pushed;
};
#define EMIT_ALL_LIVE ((struct emit_state){.rax = EMIT_LIVE, .scratch = EMIT_LIVE, .flags = EMIT_LIVE})

struct emitter {
    uint8_t *code;
    size_t room;
    /* Where the code is executed. */
    uint64_t at;
    /* Bytes so far; those beyond the room are only counted. */
    uint32_t used;
    struct emit_state state;
    /* The original instruction that the code belongs to. */
    unsigned instruction;
    /* enum segue_register. */
    uint8_t scratch_register;
    /* Something does not reach: the first instruction, or a number that none has. */
    unsigned failed;
    struct body_table_writer table;
};

static inline uint64_t emit_here(const struct emitter *emitter)
{
    return emitter->at + emitter->used;
}

/* Notes that the current instruction cannot be built. */
void emit_fail(struct emitter *emitter);

void emit_bytes(struct emitter *emitter, const uint8_t *bytes, size_t size);

/* Without effect on the state: a register to or from a slot, a constant to a slot. */
void emit_store_slot(struct emitter *emitter, unsigned reg, unsigned slot);
void emit_load_slot(struct emitter *emitter, unsigned reg, unsigned slot);
void emit_store_constant(struct emitter *emitter, uint32_t constant, unsigned slot);
/* The same for an offset beyond 127. */
void emit_store_far_slot(struct emitter *emitter, unsigned reg, uint32_t slot);

enum emit_operation {
    EMIT_ADD = 0x03,
    EMIT_SUB = 0x2b,
    EMIT_COMPARE = 0x3b,
    EMIT_ADDRESS = 0x8d,
};

/* Operation of the scratch register and a word near the body, or its address. */
void emit_near(struct emitter *emitter, enum emit_operation operation, uint64_t word);
/* The address of a word near the body, in RAX. */
void emit_rax_address(struct emitter *emitter, uint64_t word);
/* Atomically. */
void emit_increment(struct emitter *emitter, uint64_t word);
/* The word at that offset from the base of FS, in the scratch register; increments the word at the scratch register and
 * a displacement. */
void emit_load_of_thread(struct emitter *emitter, int32_t offset);
void emit_increment_at_scratch(struct emitter *emitter, int32_t displacement);
/* ZF unless the byte at the scratch register and a displacement has one of the bits. */
void emit_test_at_scratch(struct emitter *emitter, int64_t displacement, uint8_t bits);
/* Increments the word; RAX has what it was. ZF if a multiple of `sample`, which is a power of two, is reached with
 * that; RAX is lost. */
void emit_take_number(struct emitter *emitter, uint64_t word);
void emit_test_number(struct emitter *emitter, uint32_t sample);
void emit_call(struct emitter *emitter, uint64_t word);
/* The same of a word whose value stays: a direct call, if it reaches. */
void emit_call_of(struct emitter *emitter, const uint64_t *word);
/* A jump to where the word leads. */
void emit_jump_through(struct emitter *emitter, uint64_t word);
/* The mask register's low bits, at least `lanes` of them, to BODY_MASK; ZF if those `lanes` are 0. */
void emit_store_mask(struct emitter *emitter, unsigned mask, unsigned lanes);
void emit_test_mask(struct emitter *emitter, unsigned lanes);
/* Adds a distance to the scratch register, without a flag. */
void emit_advance(struct emitter *emitter, int64_t distance);

/* Jumps; each returns the place of its displacement. */
enum emit_condition {
    EMIT_ALWAYS = 0,
    /* And the condition's number in encodings. */
    EMIT_IF = 0x80,
    EMIT_IF_BELOW = 0x82,
    EMIT_IF_ABOVE_OR_EQUAL = 0x83,
    EMIT_IF_ZERO = 0x84,
    EMIT_IF_NOT_ZERO = 0x85,
};
uint32_t emit_jump(struct emitter *emitter, enum emit_condition condition);
/* A jump to an offset that lies before it. */
void emit_jump_back(struct emitter *emitter, enum emit_condition condition, uint32_t offset);
/* Lets the jump whose displacement is at `place` lead to an offset in the body, or to an address. */
void emit_lead_to(struct emitter *emitter, uint32_t place, uint32_t offset);
void emit_lead_to_address(struct emitter *emitter, uint32_t place, uint64_t address);

/* Changes of the state; each does nothing if it is so already. */
void emit_open(struct emitter *emitter);
/* All registers and flags live, then the frame closed, except its upper `kept` bytes. */
void emit_close(struct emitter *emitter, unsigned kept);
void emit_load_rax(struct emitter *emitter);
void emit_load_scratch(struct emitter *emitter);
void emit_save_rax(struct emitter *emitter);
void emit_save_scratch(struct emitter *emitter);
void emit_load_flags(struct emitter *emitter);
/* CF alone. */
void emit_load_carry(struct emitter *emitter);
/* The flags in AX or in their slot; in their slot. */
void emit_save_flags(struct emitter *emitter);
void emit_save_flags_in_slot(struct emitter *emitter);
/* In that place. */
void emit_put_flags(struct emitter *emitter, enum emit_place place);
/* Whether each set of places is at least as large as in `wanted`. */
bool emit_conforms(const struct emitter *emitter, const struct emit_state *wanted);
/* Makes them so, as far as moves do. */
void emit_conform_by_moves(struct emitter *emitter, const struct emit_state *wanted);
/* Makes them so; then the state is `wanted`. */
void emit_conform(struct emitter *emitter, const struct emit_state *wanted);

#endif
