/* areas.c: see areas.h. */
#include "areas.h"

#include <string.h>

#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "policy.h"
#include "signals/regions/region.h"

static struct adopted *areas;
static unsigned area_count;

bool areas_prepare(void)
{
    if (!areas)
        areas = platform_map_apart(AREAS_MOST * sizeof *areas);
    return areas;
}

struct adopted *areas_at(unsigned number)
{
    return &areas[number];
}

unsigned areas_count(void)
{
    return area_count;
}

int64_t areas_marks(const struct adopted *area)
{
    return (int64_t)(area->room - area->pages.at);
}

unsigned areas_behind(uint64_t address)
{
    unsigned low = 0, high = area_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (areas[middle].pages.at + areas[middle].pages.size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct segue_region areas_region(const struct adopted *area)
{
    return (struct segue_region){
        .window = segue_window_alias((void *)(uintptr_t)area->pages.at, area->pages.size,
                                     (void *)(uintptr_t)area->pages.alias),
        .policy = policy_of_fault,
        .hot_policy = area->is_pool ? policy_of_pool : policy_of_site,
        .flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL,
    };
}

/* The program's protections, which the second view has. */
static bool open_pages(const struct adoption *pages)
{
    const uint64_t end = pages->alias + pages->size;
    struct mapping mapping;
    uint64_t part;
    for (uint64_t alias = pages->alias; alias < end; alias += part) {
        if (!mappings_find(alias, &mapping))
            return false;
        part = (mapping.end < end ? mapping.end : end) - alias;
        if (platform_protect(alias - pages->alias + pages->at, part, mapping.protection) != 0)
            return false;
    }
    return true;
}

static enum segue_status give_back(const struct adopted *area)
{
    open_pages(&area->pages);
    enum segue_status status = segue_region_remove((void *)(uintptr_t)area->pages.at);
    if (status != SEGUE_OK)
        return reason_give(status, "a hot site of the pages could not be undone");
    return adopt_release(area);
}

/* A region over adopted pages. Their marks are still zero: all accesses go to the second view. */
static enum segue_status begin_area(const struct adopted *area)
{
    const struct segue_region region = areas_region(area);
    if (area->is_pool)
        return region_add_watched(&region, 0);
    if (platform_protect(area->room, area->pages.size, PLATFORM_READ | PLATFORM_WRITE) != 0)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    return region_add_watched(&region, areas_marks(area));
}

void areas_insert(const struct adopted *area)
{
    unsigned at = areas_behind(area->pages.at);
    memmove(&areas[at + 1], &areas[at], (area_count - at) * sizeof *areas);
    areas[at] = *area;
    area_count++;
}

enum segue_status areas_make(struct adopted *made, unsigned count)
{
    enum segue_status status = adopt_all(made, count, !made->is_pool);
    if (status != SEGUE_OK)
        return status;
    unsigned begun = 0;
    while (begun < count && (status = begin_area(&made[begun])) == SEGUE_OK)
        begun++;
    if (status == SEGUE_OK)
        return SEGUE_OK;
    const char *why = segue_reason();
    for (unsigned i = 0; i < count; i++)
        if (i < begun)
            give_back(&made[i]);
        else
            adopt_release(&made[i]);
    return reason_give(status, why);
}

static void take_out(unsigned number)
{
    memmove(&areas[number], &areas[number + 1], (area_count - number - 1) * sizeof *areas);
    area_count--;
}

enum segue_status areas_give_back(unsigned number)
{
    const struct adopted area = areas[number];
    take_out(number);
    return give_back(&area);
}

/* Up to the end, the pages are those of the second view, open. */
static enum segue_status cut_area(unsigned number, uint64_t from, uint64_t end)
{
    const struct adopted area = areas[number];
    const uint64_t offset = from - area.pages.at;
    const struct adoption part = {
        .at = from, .size = end - from, .alias = area.pages.alias + offset, .kept = area.pages.kept + offset};
    struct adopted parts[ADOPT_PARTS];
    unsigned count;
    if (area_count == AREAS_MOST)
        return SEGUE_NO_MEMORY;
    if (!open_pages(&part))
        return SEGUE_SYSTEM;
    enum segue_status status = region_cut((void *)(uintptr_t)area.pages.at, from, end);
    if (status != SEGUE_OK)
        return status;
    status = adopt_cut(&area, from, end, parts, &count);
    take_out(number);
    for (unsigned i = 0; i < count; i++)
        areas_insert(&parts[i]);
    return status;
}

enum segue_status areas_cut(uint64_t from, uint64_t end)
{
    enum segue_status status = SEGUE_OK;
    for (unsigned i; status == SEGUE_OK && (i = areas_behind(from)) < area_count && areas[i].pages.at < end;) {
        const uint64_t at = areas[i].pages.at, last = at + areas[i].pages.size;
        status = cut_area(i, from > at ? from : at, end < last ? end : last);
    }
    return status;
}
