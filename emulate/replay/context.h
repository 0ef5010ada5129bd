/* context.h: the working memory of one replay. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_REPLAY_CONTEXT_H
#define SEGUE_EMULATE_REPLAY_CONTEXT_H

#include <segue/emulate.h>

#include "decode/orders.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "emulate/accesses/pieces.h"
#include "emulate/elements/repeat.h"
#include "layout.h"

/* The most bytes of a copied operand, except for repeated strings; a copy has the operand's alignment modulo this. */
#define REPLAY_COPY_MOST 64u
#define REPLAY_COPY_ALIGNMENT 64u
_Static_assert(REPEAT_COPY_MOST >= REPLAY_COPY_MOST, "there is room for a string's elements");

/* The state that an instruction runs with, and then the state that it left. */
struct replay_context {
    /* In the order of enum segue_register. RSP is not loaded: it remains the host's. */
    uint64_t general[16];
    uint64_t rflags;
    /* The stub. */
    const void *code;
    /* The XSAVE area, in standard format, and which of its components to load and store; no area if there are no
     * components. */
    void *area;
    uint64_t components;
    /* STATE_BY_..., and where moves find the components outside the legacy region. */
    uint64_t state_by;
    void *ymm_upper, *opmask, *zmm_upper, *zmm_high;
    /* Flags that only POPFQ can set. */
    uint64_t popfq_flags;
};

/* Where the instruction is to access an operand. */
struct replay_place {
    /* The operand is native, with all of it at one distance from its addresses; otherwise it is copied. */
    bool is_native;
    uint64_t distance;
};

/* For a gather or scatter in several runs, the initial values of the index vector, the destination and the mask, which
 * is in an opmask register or in a vector of that size. */
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
    /* With a repeat prefix: the number of elements of the current run, which replaces the count register; else 0. */
    uint64_t elements;
    struct replay_place places[SEGUE_MEMORY_OPERANDS];
    const struct segue_regs *regs;
    struct segue_xstate *xstate;
    struct replay_context context;
    struct copies copies;
    /* The relocated address loaded for each operand, in place of the thread's own value. */
    uint64_t loaded[SEGUE_MEMORY_OPERANDS];
    _Alignas(REPLAY_COPY_ALIGNMENT) uint8_t buffers[SEGUE_MEMORY_OPERANDS][REPEAT_COPY_MOST + REPLAY_COPY_ALIGNMENT];
    struct replay_lanes lanes;
    /* The legacy region and the header, as they were before a device was called. */
    uint8_t kept[XSAVE_HEADER_END];
};

/* CF PF AF ZF SF DF OF AC: the flags that the instruction may read and change. Not TF: a trap in the stub would be the
 * host's. */
#define FLAGS_LOADED (FLAGS_ARITHMETIC | FLAG_DIRECTION | FLAG_ALIGNMENT)

static inline bool replay_is_repeated(const struct segue_insn *insn)
{
    return insn->memory[0].flags & SEGUE_ACCESS_REPEATED;
}

static inline bool replay_is_string(const struct segue_memory_operand *operand)
{
    return operand->addressing == SEGUE_ADDRESSING_STRING;
}

/* The register from which the instruction takes the operand's address. */
static inline unsigned replay_base_of(const struct segue_insn *insn, unsigned operand)
{
    return orders_of(insn)->relocation.kind == INSN_RELOCATION_OPERAND ? orders_of(insn)->relocation.base
                                                                       : insn->memory[operand].base;
}

#endif
