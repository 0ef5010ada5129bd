/* gaps.c: see gaps.h. */
#include "gaps.h"

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "platform/clock.h"
#include "platform/memory/mappings.h"

/* The addresses that are left to the heap and to the first thread's stack to grow into. Beside a program that is loaded
 * below its heap, every 16 MiB more would take a window from its sites. */
#define GROWTH (UINT64_C(128) << 20)
/* The lowest address that a program maps. */
#define LOWEST UINT64_C(65536)
#define PIECE 4096u
/* The most that are remembered. With more, the list is read for each question. */
#define GAPS 2048u
/* For so long it is used at all, and for so long even if it has no answer. */
#define OLD_NS UINT64_C(1000000000)
#define FRESH_NS UINT64_C(16000000)

static struct gap {
    uint64_t from, to;
} gaps[GAPS];
static unsigned gap_count;
static bool are_known;
static uint64_t known_since;
/* For the list of mappings: the handler's stack has no room. */
static char piece[PIECE];

/* --- The search. --- */

static uint64_t distance(uint64_t one, uint64_t other)
{
    return one < other ? other - one : one - other;
}

static bool is_found(const struct gap_search *search)
{
    return search->to;
}

static void look_in(struct gap_search *search, const struct gap *gap)
{
    uint64_t low = search->low > gap->from ? search->low : gap->from,
             end = search->end < gap->to ? search->end : gap->to;
    low = (low + PAGE - 1) & -(uint64_t)PAGE;
    if (low >= end || end - low < search->size)
        return;
    uint64_t last = (end - search->size) & -(uint64_t)PAGE, place = search->near & -(uint64_t)PAGE;
    place = place < low ? low : place > last ? last : place;
    if (is_found(search) && distance(place, search->near) >= distance(search->place, search->near))
        return;
    search->place = place;
    search->from = gap->from;
    search->to = gap->to;
}

/* --- The list. --- */

static uint64_t below_growth(const struct mapping *mapping)
{
    if (mapping->growth != MAPPING_IS_STACK)
        return mapping->start;
    return mapping->start > GROWTH ? mapping->start - GROWTH : 0;
}

/* Remembers the gap, and looks in it. */
static void meet(struct gap_search *search, uint64_t from, uint64_t to)
{
    const struct gap gap = {from, to};
    if (from >= to)
        return;
    if (gap_count < GAPS)
        gaps[gap_count] = gap;
    gap_count++;
    look_in(search, &gap);
}

static void read_list(struct gap_search *search)
{
    struct mappings list;
    struct mapping mapping;
    uint64_t from = LOWEST;
    gap_count = 0;
    are_known = false;
    if (!mappings_open(&list, piece, sizeof piece))
        return;
    while (mappings_next(&list, &mapping)) {
        meet(search, from, below_growth(&mapping));
        if (mapping.end > from)
            from = mapping.end + (mapping.growth == MAPPING_IS_HEAP ? GROWTH : 0);
    }
    meet(search, from, canonical_user_end());
    mappings_close(&list);
    are_known = gap_count <= GAPS;
    known_since = platform_clock();
}

bool gaps_find(struct gap_search *search)
{
    uint64_t age = are_known ? platform_clock() - known_since : UINT64_MAX;
    search->to = 0;
    for (unsigned i = 0; age < OLD_NS && i < gap_count; i++)
        look_in(search, &gaps[i]);
    if (!is_found(search) && age > FRESH_NS)
        read_list(search);
    return is_found(search);
}

void gaps_take(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; are_known && i < gap_count; i++) {
        struct gap *gap = &gaps[i];
        if (start >= gap->to || gap->from >= end)
            continue;
        if (start <= gap->from) {
            gap->from = end < gap->to ? end : gap->to;
        } else if (end >= gap->to) {
            gap->to = start;
        } else if (gap_count < GAPS) {
            gaps[gap_count++] = (struct gap){end, gap->to};
            gap->to = start;
        } else {
            are_known = false;
        }
        return;
    }
}

void gaps_forget(void)
{
    are_known = false;
}
