/* strings.c: the accesses of string instructions.
 *
 * SOURCES: Intel SDM volume 1, 7.3.9. */
#include "listing.h"

#include "decode/x86/flags.h"

/* `count` elements from `start` upwards or downwards. */
static void add_elements(struct listing *listing, uint64_t start, uint64_t count)
{
    uint64_t element = listing->memory->element;
    /* The whole 64-bit address space is one byte more than a size can represent. */
    if (count > UINT64_MAX / element)
        listing_give_up(listing, SEGUE_UNLISTED_WRAPS);
    else if (listing->regs->rflags & FLAG_DIRECTION)
        listing_add(listing, start - (count - 1) * element, count * element)->flags |= SEGUE_ACCESS_DOWN;
    else
        listing_add(listing, start, count * element);
}

/* The number of whole elements from `start` to the end of the space that `address_size` can address. */
static uint64_t room_from(uint64_t start, unsigned element, unsigned address_size, bool down)
{
    uint64_t last = listing_truncate(UINT64_MAX, address_size);
    if (down)
        return start / element + 1;
    return (last - start) / element + ((last - start) % element == element - 1);
}

/* There are more elements than fit before the end of the address space. In 64-bit addressing the access stops at 2^64,
 * so the elements before it are the whole list. With smaller address sizes it wraps around; an element that lies across
 * the end, or a string that goes around more than once, cannot be listed. */
static void list_around(struct listing *listing, uint64_t start, uint64_t count, uint64_t room)
{
    unsigned address_size = listing->insn->address_size, element = listing->memory->element;
    uint64_t last = listing_truncate(UINT64_MAX, address_size);
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    bool across = down ? start % element != 0 : (last - start + 1) % element != 0;
    if (address_size == 8 && room) {
        add_elements(listing, start, room);
    } else if (address_size == 8 || across || count > (last + 1) / element) {
        listing_give_up(listing, SEGUE_UNLISTED_WRAPS);
    } else {
        add_elements(listing, start, room);
        add_elements(listing, down ? last + 1 - element : 0, count - room);
    }
}

/* Of `count` elements, how many come before linear addresses wrap around. `room` elements fit into the address size. */
static uint64_t count_before_end(const struct listing *listing, uint64_t start, uint64_t count, uint64_t room)
{
    const struct segue_memory_operand *memory = listing->memory;
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    uint64_t linear = room_from(start + segment_base(listing->regs, memory->segment), memory->element, 8, down);
    count = count < room ? count : room;
    return count < linear ? count : linear;
}

/* All iterations of a string instruction. */
__attribute__((hot)) void listing_string(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t start = listing_effective(listing, listing_untruncated(listing, memory)), count = 1;
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    if (memory->flags & SEGUE_ACCESS_REPEATED)
        count = listing_effective(listing, listing->regs->rcx);
    if (count == 0)
        return;
    uint64_t room = room_from(start, memory->element, listing->insn->address_size, down);
    if (listing->before_end)
        count = count_before_end(listing, start, count, room);
    if (count == 0)
        listing_give_up(listing, SEGUE_UNLISTED_WRAPS);
    else if (count == 1 || count <= room)
        add_elements(listing, start, count);
    else
        list_around(listing, start, count, room);
}
