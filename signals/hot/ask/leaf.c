/* leaf.c: see leaf.h. Follows direct jumps; what is not known to be harmless makes a policy no leaf.
 *
 * ASSUMPTIONS: of instructions that use general registers only, CMPXCHG16B alone wants its memory aligned. */
#include "leaf.h"

#include <stddef.h>
#include <stdint.h>

#include "decode/relocate/displaced.h"
#include "decode/scratch.h"
#include "patch/hot/text.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

/* The most instructions of a leaf. */
#define MOST 64u
#define LARGEST_ACCESS 8

#define BIT(reg) (1u << (reg))
#define CHANGED_BY_LEAF BIT(SEGUE_RAX)
#define CHANGED_BY_LEAF_OF_THREE (BIT(SEGUE_RAX) | BIT(SEGUE_RCX) | BIT(SEGUE_RDX))

/* Of the direction flag, which is not among the effects. */
#define OPCODE_CLD 0xfc
#define OPCODE_STD 0xfd

/* Where instructions begin: those that are known come first, and `done` of them were looked at. */
struct walk {
    uint64_t starts[MOST];
    unsigned count, done;
    unsigned changed, read;
};

static bool note_start(struct walk *walk, uint64_t address)
{
    for (unsigned i = 0; i < walk->count; i++)
        if (walk->starts[i] == address)
            return true;
    if (walk->count == MOST)
        return false;
    walk->starts[walk->count++] = address;
    return true;
}

/* An instruction that may stand in a leaf, whatever comes after it. */
static bool is_harmless(const struct displaceable *form)
{
    uint8_t opcode = form->bytes[form->opcode];
    if (form->flow == DISPLACED_FLOW_RETURN)
        return true;
    return !form->effects.uses_stack && (form->modrm || (opcode != OPCODE_CLD && opcode != OPCODE_STD)) &&
           (form->operand == DISPLACED_OPERAND_NONE || form->memory.size <= LARGEST_ACCESS);
}

static bool follow(struct walk *walk, const struct displaceable *form)
{
    uint64_t next = form->address + form->length;
    switch ((enum displaced_flow)form->flow) {
    case DISPLACED_FLOW_NEXT:
        return note_start(walk, next);
    case DISPLACED_FLOW_CONDITIONAL:
        return note_start(walk, next) && note_start(walk, form->target);
    case DISPLACED_FLOW_JUMP:
        return note_start(walk, form->target);
    case DISPLACED_FLOW_RETURN:
        return true;
    default:
        return false;
    }
}

/* Code that may be written could become other code. */
static bool stays(uint64_t address, struct mapping *mapping)
{
    if (address - mapping->start < mapping->end - mapping->start)
        return true;
    return mappings_find(address, mapping) && !(mapping->protection & PLATFORM_WRITE) && !mapping->is_shared &&
           mapping->file;
}

enum quick_kind leaf_kind(segue_hot_policy *policy)
{
    static struct decode_scratch scratch;
    struct walk walk = {.starts = {(uint64_t)(uintptr_t)policy}, .count = 1};
    struct mapping mapping = {.start = 0, .end = 0};
    for (; walk.done < walk.count; walk.done++) {
        struct displaceable form;
        uint64_t address = walk.starts[walk.done];
        uint8_t bytes[SEGUE_INSN_BYTES];
        size_t size = stays(address, &mapping) ? hot_read_code(address, bytes, sizeof bytes) : 0;
        if (!displaceable_make(&scratch, address, bytes, size, &form) || !is_harmless(&form) || !follow(&walk, &form))
            return QUICK_FULLY;
        if (form.flow == DISPLACED_FLOW_RETURN)
            continue;
        walk.changed |= form.effects.writes;
        walk.read |= form.effects.reads;
    }
    if (!(walk.changed & ~CHANGED_BY_LEAF))
        return walk.read & BIT(SEGUE_RSI) ? QUICK_LEAF : QUICK_LEAF_BLIND;
    return walk.changed & ~CHANGED_BY_LEAF_OF_THREE ? QUICK_FULLY : QUICK_LEAF_OF_THREE;
}
