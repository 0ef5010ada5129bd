/* builder.h: a body that is being built: its instructions, the code so far, and what is left to be built out of line.
 */
#ifndef SEGUE_EMULATE_BODY_BUILDER_H
#define SEGUE_EMULATE_BODY_BUILDER_H

#include "emit.h"
#include "emulate/body/block.h"

/* Behind an access outside, as many instructions up to the end are built again, if none of them is checked. */
#define BUILDER_TAIL 8u
/* What is out of line: at most each access, each conditional jump, and those behind accesses. */
#define BUILDER_PENDING (BODY_INSTRUCTIONS + 4 * BUILDER_TAIL)

enum pending_kind {
    PENDING_OUTSIDE,
    PENDING_EXIT,
};

/* What is built out of line. */
struct pending {
    /* enum pending_kind. */
    uint8_t kind;
    uint8_t instruction;
    /* The displacements of the jumps to it. */
    uint8_t jump_count;
    uint32_t jumps[3];
    struct emit_state state;
    /* PENDING_OUTSIDE: where it joins, and with which state. */
    uint32_t join;
    struct emit_state joined;
};

/* Where the code of an instruction begins, and with which state; jumps of the block lead there. */
struct label {
    uint32_t offset;
    bool is_set;
    struct emit_state state;
};

struct body_scratch {
    struct decode_scratch decode;
    /* The block that was read last, of so many instructions; for which site and version. */
    struct block block;
    unsigned count;
    uint64_t site, version;
    struct pending pending[BUILDER_PENDING];
    struct label labels[BODY_INSTRUCTIONS];
};

struct builder {
    const struct body_request *request;
    struct body_scratch *scratch;
    struct emitter emit;
    unsigned count;
    unsigned pending_count;
    unsigned record_count;
    uint64_t recorded;
    bool checks_site;
    /* Where the first access is compared, its address and the flags being in place; 0 if it is not checked. */
    uint32_t joint;
    struct emit_state at_joint;
    unsigned link_count;
    struct body_link *links;
    uint16_t *entries;
    /* The block leads back to its beginning with that state: then it best begins with it. */
    bool is_loop;
    struct emit_state looping;
};

static inline const struct block_instruction *builder_instruction(const struct builder *builder, unsigned number)
{
    return &builder->scratch->block.instructions[number];
}

/* Where the accesses save the flags. */
static inline enum emit_place builder_saved_flags(const struct builder *builder)
{
    return builder->request->mode == BODY_POLICY ? EMIT_SLOT : EMIT_AX;
}

/* For the current instruction, with the current state. */
static inline struct pending *builder_add_pending(struct builder *builder, enum pending_kind kind)
{
    struct pending *pending = &builder->scratch->pending[builder->pending_count++];
    *pending = (struct pending){
        .kind = (uint8_t)kind, .instruction = (uint8_t)builder->emit.instruction, .state = builder->emit.state};
    return pending;
}

#endif
