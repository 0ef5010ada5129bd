/* displaceable_cache.c: see displaceable_cache.h. */
#include "displaceable_cache.h"

#include <string.h>

#include "length.h"

#define HASH UINT64_C(0x9e3779b97f4a7c15)
#define HASH_BITS 11
_Static_assert(DISPLACEABLE_SETS == 1u << HASH_BITS, "the hash has as many bits as there are sets");

/* The address of the entries' instructions: no branch reaches 0 from there, and 0 means that there is no target. */
#define HERE (UINT64_C(1) << 62)

/* Whether a displacement follows the opcode. */
static bool is_branch(uint8_t opcode, const struct outline *outline)
{
    if (outline->map)
        return outline->map == 1 && (opcode & 0xf0) == 0x80;
    return (opcode & 0xf0) == 0x70 || opcode == 0xe8 || opcode == 0xe9 || opcode == 0xeb;
}

/* By the bytes up to the opcode of a branch, or to ModRM. */
static struct displaceable_set *set_of(struct displaceable_cache *cache, const uint8_t *bytes,
                                       const struct outline *outline)
{
    unsigned size = outline->opcode + (is_branch(bytes[outline->opcode], outline) ? 1u : 2u);
    if (size > outline->length)
        size = outline->length;
    uint64_t word = 0;
    memcpy(&word, bytes, size < sizeof word ? size : sizeof word);
    return &cache->sets[(word + outline->length * HASH) * HASH >> (64 - HASH_BITS)];
}

static bool is_direct_branch(const struct displaceable *form)
{
    return form->flow >= DISPLACED_FLOW_CONDITIONAL && form->flow <= DISPLACED_FLOW_CALL;
}

static void find_displacement(struct displaceable_entry *entry)
{
    const struct displaceable *form = &entry->form;
    bool has_operand = form->operand == DISPLACED_OPERAND_MODRM || form->operand == DISPLACED_OPERAND_RELATIVE;
    entry->from = entry->to = 0;
    if (is_direct_branch(form)) {
        entry->to = form->length;
        entry->from = (uint8_t)(form->length - (form->length - form->opcode == 2 ? 1 : 4));
    } else if (has_operand && !form->is_compressed && form->address_size == 8) {
        entry->from = form->displacement;
        entry->to = form->tail;
    }
}

static bool is_of(const struct displaceable_entry *entry, const uint8_t *bytes, unsigned length)
{
    const uint8_t *known = entry->form.bytes;
    return entry->form.length == length && memcmp(known, bytes, entry->from) == 0 &&
           memcmp(known + entry->to, bytes + entry->to, length - entry->to) == 0;
}

static int64_t displacement_in(const struct displaceable_entry *entry, const uint8_t *bytes)
{
    int32_t four = 0;
    if (entry->to - entry->from == 1)
        return (int8_t)bytes[entry->from];
    if (entry->to - entry->from == sizeof four)
        memcpy(&four, bytes + entry->from, sizeof four);
    return four;
}

/* The entry's instruction at that address, with the displacement in `bytes`. */
static void move(const struct displaceable_entry *entry, uint64_t address, const uint8_t *bytes,
                 struct displaceable *made)
{
    int64_t by = displacement_in(entry, bytes) - displacement_in(entry, entry->form.bytes);
    *made = entry->form;
    memcpy(made->bytes, bytes, made->length);
    made->address = address;
    if (made->target)
        made->target += address - HERE + (uint64_t)by;
    if (made->operand == DISPLACED_OPERAND_NONE)
        return;
    made->encoded += by;
    made->memory.displacement += by;
}

/* The entry of these bytes, or another one to be overwritten. */
static struct displaceable_entry *choose(struct displaceable_set *set, const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < DISPLACEABLE_WAYS; i++)
        if (is_of(&set->entries[i], bytes, length))
            return &set->entries[i];
    set->last = (set->last + 1) % DISPLACEABLE_WAYS;
    set->entries[set->last].form.length = 0;
    return &set->entries[set->last];
}

bool displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch, uint64_t address,
                       const uint8_t *bytes, size_t size, struct displaceable *made)
{
    struct outline outline;
    unsigned length = length_outline(bytes, size, &outline);
    if (!length)
        return displaceable_make(scratch, address, bytes, size, made);
    struct displaceable_entry *entry = choose(set_of(cache, bytes, &outline), bytes, length);
    if (!entry->form.length) {
        if (!displaceable_make(scratch, HERE, bytes, size, &entry->form) || entry->form.length != length) {
            entry->form.length = 0;
            return displaceable_make(scratch, address, bytes, size, made);
        }
        find_displacement(entry);
    }
    move(entry, address, bytes, made);
    return true;
}
