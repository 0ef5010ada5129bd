/* counts.c: see counts.h. A table of places, each of one watch and instruction; the place of a watch that has ended is
 * taken again only by the same two. */
#include "counts.h"

#include <stdlib.h>

#include "platform/memory/memory.h"
#include "platform/reason.h"

/* How many places are looked at for one. */
#define LOOKS 4096u

static struct counts_place *places;

void counts_use(void *table)
{
    places = table;
}

bool counts_prepare(void)
{
    if (!places)
        places = platform_map_apart((COUNTS_SIZE + platform_page_size() - 1) & ~(platform_page_size() - 1));
    return places != NULL;
}

static inline SEGUE_HOT_POLICY struct counts_place *place_of(uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - COUNTS_PLACE_BITS);
    for (uint32_t look = 0; look < LOOKS; look++) {
        struct counts_place *place = &places[(hash + look) & (COUNTS_PLACES - 1)];
        uint64_t present = __atomic_load_n(&place->key, __ATOMIC_RELAXED);
        if (present == 0 &&
            __atomic_compare_exchange_n(&place->key, &present, key, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return place;
        if (present == key)
            return place;
    }
    return NULL;
}

SEGUE_HOT_POLICY void counts_add(uint32_t number, uint64_t site, uint8_t direction)
{
    struct counts_place *place = place_of((uint64_t)number << COUNTS_SITE_BITS | site);
    if (!place) {
        __atomic_fetch_add(&places[COUNTS_PLACES].reads, 1, __ATOMIC_RELAXED);
        return;
    }
    if (direction & SEGUE_READ)
        __atomic_fetch_add(&place->reads, 1, __ATOMIC_RELAXED);
    if (direction & SEGUE_WRITE)
        __atomic_fetch_add(&place->writes, 1, __ATOMIC_RELAXED);
}

static bool is_of(const struct counts_place *place, uint32_t number)
{
    return __atomic_load_n(&place->key, __ATOMIC_RELAXED) >> COUNTS_SITE_BITS == number;
}

void counts_clear(uint32_t number)
{
    for (uint32_t i = 0; i < COUNTS_PLACES; i++)
        if (is_of(&places[i], number)) {
            __atomic_store_n(&places[i].reads, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&places[i].writes, 0, __ATOMIC_RELAXED);
        }
}

static int compare(const void *one, const void *other)
{
    const struct segue_watch_count *first = one, *second = other;
    uint64_t of_first = first->reads + first->writes, of_second = second->reads + second->writes;
    if (of_first != of_second)
        return of_first > of_second ? -1 : 1;
    return first->site < second->site ? -1 : first->site > second->site;
}

static struct segue_watch_count shown(const struct counts_place *place)
{
    return (struct segue_watch_count){
        .site = place->key & ((UINT64_C(1) << COUNTS_SITE_BITS) - 1),
        .reads = __atomic_load_n(&place->reads, __ATOMIC_RELAXED),
        .writes = __atomic_load_n(&place->writes, __ATOMIC_RELAXED),
    };
}

enum segue_status counts_list(uint32_t number, struct segue_watch_count *counts, size_t capacity, size_t *count)
{
    const size_t page = platform_page_size();
    const size_t size = (COUNTS_PLACES * sizeof(struct segue_watch_count) + page - 1) & ~(page - 1);
    struct segue_watch_count *all = platform_map(size);
    if (!all)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    size_t found = 0;
    for (uint32_t i = 0; i < COUNTS_PLACES; i++)
        if (is_of(&places[i], number)) {
            all[found] = shown(&places[i]);
            found += all[found].reads || all[found].writes;
        }
    qsort(all, found, sizeof *all, compare);
    for (size_t i = 0; i < found && i < capacity; i++)
        counts[i] = all[i];
    *count = found;
    platform_unmap(all, size);
    return found > capacity ? SEGUE_TOO_SMALL : SEGUE_OK;
}
