/* context.h: what one replay works with. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_CONTEXT_H
#define SEGUE_EMULATE_REPLAY_CONTEXT_H

#include <segue/emulate.h>

#include "decode/orders.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "emulate/elements/repeat.h"
#include "emulate/pieces.h"
#include "layout.h"

/* The most bytes of an operand that is copied, but of repeated strings, and what its copy's alignment is that of. */
#define REPLAY_COPY_MOST 64u
#define REPLAY_COPY_ALIGNMENT 64u
_Static_assert(REPEAT_COPY_MOST >= REPLAY_COPY_MOST, "there is room for a string's elements");

/* The state that an instruction runs with, and then the state that it left. */
struct replay_context {
    /* In the order of enum segue_register. RSP is not loaded: it is the host's meanwhile. */
    uint64_t general[16];
    uint64_t rflags;
    /* The stub. */
    const void *code;
    /* The XSAVE area, in standard format, and which of its components to load and store; no component: no area. */
    void *area;
    uint64_t components;
    /* STATE_BY_..., and where moves find what the legacy region does not hold. */
    uint64_t state_by;
    void *ymm_upper, *opmask, *zmm_upper, *zmm_high;
    /* Flags of which one that is set wants POPFQ. */
    uint64_t popfq_flags;
};

/* Where the instruction is to find an operand. */
struct replay_place {
    /* It is reached natively, all of it at one distance from its addresses; else on a copy. */
    bool is_native;
    uint64_t distance;
};

/* Of a gather or a scatter that is done in several runs, as they were: the vector of indices, the destination, and the
 * mask, in an opmask register or in a vector of that size. */
struct replay_lanes {
    uint8_t indices[64];
    uint8_t destination[64];
    uint8_t mask[64];
    uint64_t opmask;
    unsigned mask_size;
};

/* One step. */
struct replay {
    const struct segue_plan *plan;
    /* The number by which it holds a stub (stubs.h), or STUBS_NO_HOLDER. */
    uint32_t holder;
    /* With a repeat prefix: of how many elements the run at hand is, in place of what the count register says; else 0.
     */
    uint64_t elements;
    struct replay_place places[SEGUE_MEMORY_OPERANDS];
    const struct segue_regs *regs;
    struct segue_xstate *xstate;
    struct replay_context context;
    struct copies copies;
    /* What was loaded where the instruction takes an operand's address from, in place of what the thread has there. */
    uint64_t loaded[SEGUE_MEMORY_OPERANDS];
    _Alignas(REPLAY_COPY_ALIGNMENT) uint8_t buffers[SEGUE_MEMORY_OPERANDS][REPEAT_COPY_MOST + REPLAY_COPY_ALIGNMENT];
    struct replay_lanes lanes;
    /* The legacy region and the header, as they were before a device was asked. */
    uint8_t kept[XSAVE_HEADER_END];
};

/* CF PF AF ZF SF DF OF AC: what the instruction may see and change. Not TF: a trap in the stub would be the host's. */
#define FLAGS_LOADED (FLAGS_ARITHMETIC | FLAG_DIRECTION | FLAG_ALIGNMENT)

static inline bool replay_is_repeated(const struct segue_insn *insn)
{
    return insn->memory[0].flags & SEGUE_ACCESS_REPEATED;
}

static inline bool replay_is_string(const struct segue_memory_operand *operand)
{
    return operand->addressing == SEGUE_ADDRESSING_STRING;
}

/* The register that the instruction takes the operand's address from. */
static inline unsigned replay_base_of(const struct segue_insn *insn, unsigned operand)
{
    return orders_of(insn)->redirection.kind == INSN_REDIRECTION_OPERAND ? orders_of(insn)->redirection.base
                                                                         : insn->memory[operand].base;
}

#endif
