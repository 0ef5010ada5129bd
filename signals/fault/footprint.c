/* footprint.c: the regions under what one step does. */
#include "footprint.h"

#include "emulate/accesses/pieces.h"

/* The region's index in the footprint; the count if the footprint is full. */
static size_t place_of(struct footprint *footprint, const struct region *region)
{
    size_t place = 0;
    while (place < footprint->count && footprint->regions[place] != region)
        place++;
    if (place == footprint->count && place < FOOTPRINT_REGIONS) {
        footprint->regions[place] = region;
        footprint->windows[place] = region_window(region);
        footprint->count++;
    }
    return place;
}

void footprint_add(struct footprint *footprint, const struct region *region)
{
    for (size_t i = 0; i < footprint->count; i++)
        if (footprint->regions[i] == region)
            return;
    footprint->regions[footprint->count++] = region;
}

__attribute__((hot)) static void span_in_regions(struct reach *reach, uint64_t address, uint64_t low, uint64_t high,
                                                 struct span *span)
{
    struct footprint *footprint = (struct footprint *)reach;
    const struct region *region = footprint->known;
    if (!region || address - region->base >= region->size)
        region = region_at(address);
    *span = (struct span){NULL, low, high};
    if (!region) {
        region_gap(address, &span->first, &span->last);
        return;
    }
    size_t place = place_of(footprint, region);
    if (place == FOOTPRINT_REGIONS) {
        footprint->is_full = true;
        return;
    }
    uint64_t last = region->base + region->size - 1;
    span->window = &footprint->windows[place];
    span->first = region->base > low ? region->base : low;
    span->last = last < high ? last : high;
}

/* Whether the step accesses the region. */
static bool is_touched(const struct segue_plan *plan, const struct region *region)
{
    for (uint32_t i = 0; i < plan->access_count; i++) {
        uint64_t address, size;
        pieces_part(plan, i, &address, &size);
        if (size && address - region->base < region->size)
            return true;
        if (size && region->base - address < size)
            return true;
    }
    return false;
}

__attribute__((hot)) enum segue_status footprint_plan(struct footprint *footprint, const struct region *known,
                                                      struct segue_plan *plan)
{
    footprint->known = known;
    footprint->reach.span_at = span_in_regions;
    footprint->count = 0;
    footprint->is_full = false;
    enum segue_status status = plan_reach(plan, &footprint->reach);
    if (status == SEGUE_OK && footprint->is_full) {
        plan->engine = SEGUE_ENGINE_NONE;
        plan->refusal = "regions have changed while it was planned";
        status = SEGUE_UNSUPPORTED;
    }
    /* The plan's access fragments point to the windows, so only regions are dropped. */
    size_t kept = 0;
    for (size_t i = 0; i < footprint->count; i++)
        if (is_touched(plan, footprint->regions[i]))
            footprint->regions[kept++] = footprint->regions[i];
    footprint->count = kept;
    return status;
}
