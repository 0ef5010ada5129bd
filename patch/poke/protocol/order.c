/* order.c: see order.h. */
#include "order.h"

#include "decode/relocate/length.h"
#include "patch/poke/change.h"

uint8_t order_length(const uint8_t *bytes, uint8_t size)
{
    uint8_t whole[POKE_BYTES + POKE_BYTES];
    struct outline outline;
    for (unsigned i = 0; i < sizeof whole; i++)
        __atomic_store_n(&whole[i], i < size ? bytes[i] : 0, __ATOMIC_RELAXED);
    unsigned length = length_outline(whole, sizeof whole, &outline);
    return length > size ? (uint8_t)length : size;
}

void order_find_overlaps(struct order_change *const *changes, size_t count)
{
    uint64_t end = 0;
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && changes[i]->address < end)
            changes[i]->overlaps = changes[longest]->overlaps = true;
        if (changes[i]->address + changes[i]->size > end) {
            end = changes[i]->address + changes[i]->size;
            longest = i;
        }
    }
}

/* The end of the changes from `i` on that an instruction of that length reads. */
static size_t end_of_read(struct order_change *const *changes, size_t count, size_t i, uint8_t length)
{
    size_t end = i + 1;
    if (length > changes[i]->size)
        while (end < count && changes[end]->address < changes[i]->address + length)
            end++;
    return end;
}

void order_find_levels(struct order_change *const *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        changes[i]->old_level = changes[i]->new_level = 0;
        changes[i]->is_tied = false;
    }
    for (size_t i = count; i-- > 0;) {
        struct order_change *change = changes[i];
        size_t old_end = end_of_read(changes, count, i, change->old_length);
        size_t new_end = end_of_read(changes, count, i, change->new_length);
        for (size_t j = i + 1; j < old_end || j < new_end; j++) {
            change->is_tied = changes[j]->is_tied = true;
            if (j < old_end && changes[j]->old_level >= change->old_level)
                change->old_level = (uint8_t)(changes[j]->old_level + 1);
            if (j < new_end && changes[j]->new_level >= change->new_level)
                change->new_level = (uint8_t)(changes[j]->new_level + 1);
        }
    }
}

static bool spread_from(struct order_change *const *changes, size_t count, size_t i)
{
    struct order_change *change = changes[i];
    size_t old_end = end_of_read(changes, count, i, change->old_length);
    size_t new_end = end_of_read(changes, count, i, change->new_length);
    bool has_spread = false;
    for (size_t j = i + 1; j < new_end && !change->is_refused; j++)
        has_spread = change->is_refused = changes[j]->is_refused;
    for (size_t j = i + 1; j < old_end && change->is_refused; j++) {
        has_spread |= !changes[j]->is_refused;
        changes[j]->is_refused = true;
    }
    return has_spread;
}

void order_spread(struct order_change *const *changes, size_t count)
{
    bool has_spread = true;
    while (has_spread) {
        has_spread = false;
        for (size_t i = count; i-- > 0;)
            has_spread |= spread_from(changes, count, i);
    }
}
