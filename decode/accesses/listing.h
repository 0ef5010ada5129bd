/* listing.h: an access list under construction: what each kind of addressing appends to it. Used inside
 * decode/accesses/ only.
 *
 * The functions are here and not in a .c file of their own because every list needs them, and a list is made at each
 * fault. */
#ifndef SEGUE_DECODE_LISTING_H
#define SEGUE_DECODE_LISTING_H

#include <segue/decode.h>

#include "decode/segments.h"

/* An access list under construction. */
struct listing {
    const struct segue_insn *insn;
    const struct segue_regs *regs;
    const struct segue_xstate *xstate;
    struct segue_access *accesses;
    size_t capacity;
    size_t count;
    /* The current operand. */
    const struct segue_memory_operand *memory;
    /* Of repeated strings, list only the elements before the end of the address space. */
    bool before_end;
    /* The reason why there will be no list. */
    enum segue_unlisted why;
    /* Receives accesses for which the list has no room. */
    struct segue_access unwanted;
};

static inline uint64_t listing_truncate(uint64_t address, unsigned address_size)
{
    if (address_size == 4)
        return (uint32_t)address;
    if (address_size == 2)
        return (uint16_t)address;
    return address;
}

/* base + index * scale + displacement, in 64 bits. */
static inline uint64_t listing_untruncated(const struct listing *listing, const struct segue_memory_operand *memory)
{
    uint64_t address = (uint64_t)memory->displacement + segue_register_get(listing->regs, memory->base);
    if (memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR)
        address += segue_register_get(listing->regs, memory->index) * memory->scale;
    if (memory->base == SEGUE_RIP)
        address += listing->insn->length;
    return address;
}

static inline uint64_t listing_effective(const struct listing *listing, uint64_t address)
{
    return listing_truncate(address, listing->insn->address_size);
}

static inline uint64_t listing_on_stack(const struct listing *listing, uint64_t address)
{
    return listing->insn->mode == SEGUE_MODE_32 ? (uint32_t)address : address;
}

/* Whether an access exceeds the address size in a way in which processors differ: they truncate the address of each
 * part separately, and may split an access wider than a general register into several (docs/facts.md). In 32-bit mode
 * no address exceeds it. */
static inline bool listing_leaves_address_size(const struct listing *listing, uint64_t address, uint64_t size)
{
    uint64_t last = listing_truncate(UINT64_MAX, listing->insn->address_size);
    bool is_one = size == 1 || size == 2 || size == 4 || size == 8;
    switch ((enum segue_addressing)listing->memory->addressing) {
    case SEGUE_ADDRESSING_STACK:
    case SEGUE_ADDRESSING_POP_ALL:
    case SEGUE_ADDRESSING_INTERRUPT_RETURN:
    case SEGUE_ADDRESSING_ENTER:
    case SEGUE_ADDRESSING_CACHE_LINE:
        return false;
    default:
        break;
    }
    if (is_one && listing->insn->mode == SEGUE_MODE_64)
        return address > last;
    return address > last || size - 1 > last - address;
}

/* Appends an access to `size` bytes at an effective address, as the current operand describes it. Returns it so that
 * the caller can adjust it. It is written in place, since copying what was just stored byte by byte is slow. */
static inline struct segue_access *listing_add(struct listing *listing, uint64_t address, uint64_t size)
{
    const struct segue_memory_operand *memory = listing->memory;
    struct segue_access *access =
        listing->count < listing->capacity ? &listing->accesses[listing->count] : &listing->unwanted;
    uint64_t last = UINT64_MAX;
    if (listing->insn->address_size != 8 && listing_leaves_address_size(listing, address, size))
        listing->why = SEGUE_UNLISTED_WRAPS;
    address += segment_base(listing->regs, memory->segment);
    if (listing->insn->mode == SEGUE_MODE_32) {
        address = (uint32_t)address;
        last = UINT32_MAX;
    }
    if (size - 1 > last - address)
        listing->why = SEGUE_UNLISTED_WRAPS;
    access->address = address;
    access->size = size;
    access->flags = memory->flags;
    access->element = memory->element;
    access->direction = memory->direction;
    access->segment = memory->segment;
    access->lane = 0;
    access->alignment = memory->alignment;
    access->operand = (uint8_t)(memory - listing->insn->memory);
    listing->count++;
    return access;
}

/* Records that there will be no list. */
static inline void listing_give_up(struct listing *listing, enum segue_unlisted why)
{
    listing->why = why;
}

/* These list the current operand, by its addressing (SEGUE_ADDRESSING_...); accesses.c has the other kinds.
 * In strings.c: */
void listing_string(struct listing *listing);

/* In vectors.c: */
void listing_vector(struct listing *listing);
void listing_compressed(struct listing *listing);
/* Also in vectors.c: a store or load of adjacent elements under a mask. */
void listing_masked(struct listing *listing);

/* In state.c: */
void listing_state(struct listing *listing);

#endif
