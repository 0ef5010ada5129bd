/* array.h: arrays that grow, and sorted ones that are searched. */
#ifndef SEGUE_TOOLS_ARRAY_H
#define SEGUE_TOOLS_ARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element of `size` bytes behind `count`: the array, perhaps moved. Ends the process without memory.
 */
static inline void *array_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    array = realloc(array, *capacity * size);
    if (!array)
        abort();
    return array;
}

/* Of elements that begin with a uint64_t and are sorted by it, how many have one below `key`. */
static inline size_t array_count_below(const void *array, size_t count, size_t size, uint64_t key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t found;
        memcpy(&found, (const char *)array + middle * size, sizeof found);
        if (found < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
