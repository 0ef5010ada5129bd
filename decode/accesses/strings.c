/* strings.c: the accesses of string instructions.
 *
 * SOURCES: Intel SDM volume 1, 7.3.9. */
#include "listing.h"

#include "decode/x86/flags.h"

/* `count` elements that begin at `start` and go on upwards or downwards. */
static void add_elements(struct listing *listing, uint64_t start, uint64_t count)
{
    uint64_t element = listing->memory->element;
    /* All of 64 bits is one byte more than a size can tell. */
    if (count > UINT64_MAX / element)
        listing_give_up(listing, SEGUE_UNLISTED_WRAPS);
    else if (listing->regs->rflags & FLAG_DIRECTION)
        listing_add(listing, start - (count - 1) * element, count * element)->flags |= SEGUE_ACCESS_DOWN;
    else
        listing_add(listing, start, count * element);
}

/* How many elements there are from `start` to the end of the space that `address_size` can address: whole ones. */
static uint64_t room_from(uint64_t start, unsigned element, unsigned address_size, bool down)
{
    uint64_t last = listing_truncate(UINT64_MAX, address_size);
    if (down)
        return start / element + 1;
    return (last - start) / element + ((last - start) % element == element - 1);
}

/* More elements than there is room for. Nobody gets past the end of 64 bits, so what comes before it is all; elsewhere
 * they go on at the other end; one that lies across it, or more than once around, cannot be listed. */
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

/* How many of `count` elements, for which there is room, come before linear addresses wrap around. */
static uint64_t count_before_end(const struct listing *listing, uint64_t start, uint64_t count, uint64_t room)
{
    const struct segue_memory_operand *memory = listing->memory;
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    uint64_t linear = room_from(start + segment_base(listing->regs, memory->segment), memory->element, 8, down);
    count = count < room ? count : room;
    return count < linear ? count : linear;
}

/* All iterations of a string instruction. */
void listing_string(struct listing *listing)
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
