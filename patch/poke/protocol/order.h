/* order.h: in which order the changes of a batch come into force. Pure.
 *
 * An instruction may be longer than the bytes that change: a punned jump, whose last bytes are its successor's. It
 * reads the changes that lie there. Before such a change begins, no thread may execute the old instruction that reads
 * it; and no thread may execute the new instruction before such a change is wholly in place. */
#ifndef SEGUE_PATCH_ORDER_H
#define SEGUE_PATCH_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_change {
    uint64_t address;
    uint8_t size;
    /* The lengths of the old and of the new instruction; any number up to `size` if they read nothing else. */
    uint8_t old_length, new_length;

    /* Results: 0 if the old (new) instruction reads no other change, else one more than the highest level of those that
     * it reads. */
    uint8_t old_level, new_level;
    /* It reads another change, or is read by one. */
    bool is_tied;
    /* It and another change have a byte in common. */
    bool overlaps;
    /* It cannot be made. Input, and result of order_spread. */
    bool is_refused;
};

/* The length of the instruction whose first `size` bytes are these, if they determine it; else `size`. */
uint8_t order_length(const uint8_t *bytes, uint8_t size);

/* Finds overlaps. In ascending order of addresses, as for the other functions. */
void order_find_overlaps(struct order_change *const *changes, size_t count);

/* Finds levels and ties. */
void order_find_levels(struct order_change *const *changes, size_t count);

/* Refuses changes whose new instruction reads a refused one, and those that the old instruction of a refused one reads.
 */
void order_spread(struct order_change *const *changes, size_t count);

#endif
