/* vectors.c: the accesses of instructions with masked elements or with vectors of indices.
 *
 * SOURCES: Intel SDM volume 2, the gathers and scatters, VPCOMPRESSD, MASKMOVDQU. */
#include "listing.h"

#include <string.h>

#include "masks.h"

static uint64_t bits_below(unsigned count)
{
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

/* Not __builtin_popcountll, which may call libgcc: a handler must not. */
static unsigned count_bits(uint64_t bits)
{
    unsigned count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* The operand's elements that an opmask or a sign-bit mask selects. */
static uint64_t elements_of(const struct segue_memory_operand *memory, uint64_t bits)
{
    unsigned count = memory->size / memory->element;
    uint64_t elements = 0;
    bits &= bits_below(memory->lanes);
    if (count == memory->lanes)
        return bits;
    for (unsigned lane = 0; lane < memory->lanes; lane++)
        elements |= (bits >> lane & 1) << (lane % count);
    return elements;
}

/* One access for each run of selected elements. */
__attribute__((hot)) void listing_masked(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = listing_effective(listing, listing_untruncated(listing, memory)), bits;
    if (!masks_of(memory, listing->xstate, &bits)) {
        listing_give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    uint64_t elements = elements_of(memory, bits);
    if (memory->probe && elements != bits_below(memory->lanes))
        listing_add(listing, address, memory->size)->flags |= memory->probe;
    for (unsigned first = 0; first < 64 && elements >> first;) {
        first += (unsigned)__builtin_ctzll(elements >> first);
        uint64_t above = ~(elements >> first);
        unsigned length = above ? (unsigned)__builtin_ctzll(above) : 64;
        listing_add(listing, address + first * (uint64_t)memory->element, length * (uint64_t)memory->element)->lane =
            (uint8_t)first;
        first += length;
    }
}

/* One access for each lane. */
void listing_vector(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint8_t indices[VECTOR_SIZE];
    uint64_t bits, base = listing_untruncated(listing, memory);
    unsigned size = memory->lanes * (unsigned)memory->index_size;
    size = size > 32 ? 64 : size > 16 ? 32 : 16;
    if (!masks_of(memory, listing->xstate, &bits) || !masks_vector(listing->xstate, memory->index, size, indices)) {
        listing_give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    for (unsigned lane = 0; lane < memory->lanes; lane++) {
        if (!(bits >> lane & 1))
            continue;
        int64_t index = 0;
        memcpy(&index, &indices[lane * memory->index_size], memory->index_size);
        if (memory->index_size == 4)
            index = (int32_t)index;
        listing_add(listing, listing_effective(listing, base + (uint64_t)index * memory->scale), memory->element)
            ->lane = (uint8_t)lane;
    }
}

/* One access with as many adjacent elements as the mask has set bits. */
void listing_compressed(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t bits;
    if (!masks_of(memory, listing->xstate, &bits)) {
        listing_give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    uint64_t count = count_bits(bits & bits_below(memory->lanes));
    if (count)
        listing_add(listing, listing_effective(listing, listing_untruncated(listing, memory)), count * memory->element);
}
