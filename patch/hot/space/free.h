/* free.h: the free ranges of the pages that hold bodies, in the order of their addresses.
 *
 * One caller at a time. Everything but free_prepare is async-signal-safe. */
#ifndef SEGUE_PATCH_HOT_FREE_H
#define SEGUE_PATCH_HOT_FREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct free_range {
    uint64_t start, end;
};

/* Reserves the table. Not async-signal-safe. */
bool free_prepare(void);

size_t free_count(void);

/* All ranges, free_count() of them. Their numbers in it are valid until the next change. */
const struct free_range *free_ranges(void);

/* The number of the first range, from that number on, that ends at or behind the address; free_count() if none does. */
size_t free_from(size_t number, uint64_t address);

/* Adds a range, and joins it with those that it touches in the same chunk. What the table cannot hold is lost. */
void free_add(uint64_t start, uint64_t end);

/* The range's end becomes `end`: pages behind it are in use now. */
void free_extend(size_t number, uint64_t end);

/* Takes [start, end) out of the range. */
void free_take(size_t number, uint64_t start, uint64_t end);

#endif
