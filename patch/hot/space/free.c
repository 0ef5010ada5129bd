/* free.c: a sorted array. Most changes move one end of a range; few add or remove one. */
#include "free.h"

#include <string.h>

#include "chunks.h"
#include "platform/memory/memory.h"

/* The most free ranges. A million sites leave 70,000, and 280,000 when a third of their bodies is freed. */
#define RANGES (1u << 19)

static struct free_range *ranges;
static size_t count;

bool free_prepare(void)
{
    struct free_range *table = platform_map_apart(RANGES * sizeof *table);
    __atomic_store_n(&ranges, table, __ATOMIC_RELEASE);
    return table;
}

size_t free_count(void)
{
    return count;
}

const struct free_range *free_ranges(void)
{
    return ranges;
}

size_t free_from(size_t number, uint64_t address)
{
    size_t low = number, high = number, step = 1;
    /* What is searched for is often near. */
    while (high < count && ranges[high].end < address) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    high = high < count ? high : count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].end < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(size_t at, uint64_t start, uint64_t end)
{
    if (count == RANGES)
        return;
    memmove(&ranges[at + 1], &ranges[at], (count - at) * sizeof *ranges);
    ranges[at] = (struct free_range){start, end};
    count++;
}

static void drop(size_t at)
{
    count--;
    memmove(&ranges[at], &ranges[at + 1], (count - at) * sizeof *ranges);
}

/* Joins no ranges across the edge of a chunk. */
void free_add(uint64_t start, uint64_t end)
{
    size_t at = free_from(0, start), next = at < count && ranges[at].end == start ? at + 1 : at;
    bool below = next > at && chunk_find(ranges[at].start) == chunk_find(start);
    bool above = next < count && ranges[next].start == end && chunk_find(end) == chunk_find(start);
    if (below && above) {
        ranges[at].end = ranges[next].end;
        drop(next);
    } else if (below) {
        ranges[at].end = end;
    } else if (above) {
        ranges[next].start = start;
    } else {
        insert(next, start, end);
    }
}

void free_extend(size_t number, uint64_t end)
{
    ranges[number].end = end;
}

void free_take(size_t number, uint64_t start, uint64_t end)
{
    struct free_range range = ranges[number];
    if (range.start == start && range.end == end) {
        drop(number);
    } else if (range.start == start) {
        ranges[number].start = end;
    } else {
        ranges[number].end = start;
        if (range.end != end)
            insert(number + 1, end, range.end);
    }
}
