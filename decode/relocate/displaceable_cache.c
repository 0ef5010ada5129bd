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

/* The bytes of an instruction: those from 0 and from 7 on, so that no byte behind it is read. */
struct image {
    uint64_t words[2];
};
#define SECOND 7u
_Static_assert(SECOND + sizeof(uint64_t) == SEGUE_INSN_BYTES, "two words have all bytes of an instruction");

static struct image image_of(const uint8_t *bytes)
{
    struct image image;
    memcpy(&image.words[0], bytes, sizeof image.words[0]);
    memcpy(&image.words[1], bytes + SECOND, sizeof image.words[1]);
    return image;
}

static struct image image_at(const uint8_t *bytes, size_t size)
{
    uint8_t whole[SEGUE_INSN_BYTES] = {0};
    if (size >= sizeof whole)
        return image_of(bytes);
    memcpy(whole, bytes, size);
    return image_of(whole);
}

/* By the bytes up to the opcode of a branch, or to ModRM. */
static struct displaceable_set *set_of(struct displaceable_cache *cache, const struct image *image, uint8_t opcode,
                                       const struct outline *outline)
{
    unsigned size = outline->opcode + (is_branch(opcode, outline) ? 1u : 2u);
    if (size > outline->length)
        size = outline->length;
    uint64_t word = size < sizeof word ? image->words[0] & ((UINT64_C(1) << 8 * size) - 1) : image->words[0];
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

static void find_same(struct displaceable_entry *entry)
{
    uint8_t same[SEGUE_INSN_BYTES] = {0};
    for (unsigned i = 0; i < entry->form.length; i++)
        same[i] = i < entry->from || i >= entry->to ? UINT8_MAX : 0;
    const struct image image = image_of(same);
    memcpy(entry->same, image.words, sizeof entry->same);
}

static bool is_of(const struct displaceable_entry *entry, const struct image *image, unsigned length)
{
    const struct image known = image_of(entry->form.bytes);
    return entry->form.length == length && ((known.words[0] ^ image->words[0]) & entry->same[0]) == 0 &&
           ((known.words[1] ^ image->words[1]) & entry->same[1]) == 0;
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
    for (unsigned i = entry->from; i < entry->to; i++)
        made->bytes[i] = bytes[i];
    made->address = address;
    if (made->target)
        made->target += address - HERE + (uint64_t)by;
    if (made->operand == DISPLACED_OPERAND_NONE)
        return;
    made->encoded += by;
    made->memory.displacement += by;
}

/* The entry of these bytes, or another one to be overwritten. */
static struct displaceable_entry *choose(struct displaceable_set *set, const struct image *image, unsigned length)
{
    for (unsigned i = 0; i < DISPLACEABLE_WAYS; i++)
        if (is_of(&set->entries[i], image, length))
            return &set->entries[i];
    uint8_t *last = &set->entries[0].last;
    *last = (uint8_t)((*last + 1) % DISPLACEABLE_WAYS);
    set->entries[*last].form.length = 0;
    return &set->entries[*last];
}

bool displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch, uint64_t address,
                       const uint8_t *bytes, size_t size, struct displaceable *made)
{
    struct outline outline;
    unsigned length = length_outline(bytes, size, &outline);
    if (!length)
        return displaceable_make(scratch, address, bytes, size, made);
    const struct image image = image_at(bytes, size);
    struct displaceable_entry *entry = choose(set_of(cache, &image, bytes[outline.opcode], &outline), &image, length);
    if (!entry->form.length) {
        if (!displaceable_make(scratch, HERE, bytes, size, &entry->form) || entry->form.length != length) {
            entry->form.length = 0;
            return displaceable_make(scratch, address, bytes, size, made);
        }
        find_displacement(entry);
        find_same(entry);
    }
    move(entry, address, bytes, made);
    return true;
}
