/* misuse.c: see misuse.h. */
#include "misuse.h"

#include "decode/x86/page.h"
#include "platform/reason.h"
#include "signals/hot/slots.h"
#include "table.h"

#define HOT_FLAGS (SEGUE_REGION_COUNT | SEGUE_REGION_HOT_GENERAL | SEGUE_REGION_HOT_REGS | SEGUE_REGION_IDLE)
#define KNOWN_FLAGS (SEGUE_REGION_WRITE_IS_READ_WRITE | SEGUE_REGION_PROTECTION_KEYS | SEGUE_REGION_HOT | HOT_FLAGS)
_Static_assert(KNOWN_FLAGS < REGION_CHANGES, "struct region has room for them");

/* Names what is wrong with the window's own fields; NULL if they are valid. */
static const char *misuse_of_parts(const struct segue_window *window)
{
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        if (!window->alias)
            return "region.window.alias is NULL";
        /* Both begin on a page, so that an access has the same alignment in the region and in its alias. */
        return (uintptr_t)window->alias % PAGE ? "region.window.alias is not a multiple of the page size" : NULL;
    case SEGUE_WINDOW_CALLBACK:
        return window->read || window->write ? NULL : "region.window.read and .write are both NULL";
    case SEGUE_WINDOW_EXPOSED:
    case SEGUE_WINDOW_FORCED:
        return NULL;
    }
    return "region.window.kind is not an enum segue_window_kind";
}

/* The same for what hot sites need. */
static const char *misuse_of_hot(const struct segue_region *region)
{
    if (!(region->flags & SEGUE_REGION_HOT)) {
        if (region->hot_policy)
            return "region.hot_policy is set without SEGUE_REGION_HOT";
        if (region->sample)
            return "region.sample is set without SEGUE_REGION_HOT";
        return region->flags & HOT_FLAGS ? "region.flags has a flag that needs SEGUE_REGION_HOT" : NULL;
    }
    if (region->window.kind != SEGUE_WINDOW_ALIAS)
        return "region.window of a hot region is not an alias";
    if (!hot_is_near(&region->window))
        return "region.window.alias of a hot region is not within 2 GiB of region.window.base";
    if (region->policy && !region->hot_policy)
        return "region.hot_policy of a hot region with a policy is NULL";
    if (region->hot_policy && !region->policy)
        return "region.policy of a hot region with a hot policy is NULL";
    if (region->hot_policy && (region->flags & SEGUE_REGION_COUNT))
        return "region.flags has SEGUE_REGION_COUNT, but a hot policy counts for itself";
    if (region->sample && !region->hot_policy)
        return "region.sample is set without a hot policy";
    if (region->sample & (region->sample - 1))
        return "region.sample is not a power of two";
    return NULL;
}

const char *region_misuse(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    if (!RESERVED_IS_ZERO(region))
        return "region.reserved is not zero: was the struct initialised?";
    if (!RESERVED_IS_ZERO(window))
        return "region.window.reserved is not zero: was the struct initialised?";
    if (window->size == 0)
        return "region.window.size is 0";
    if (window->base % PAGE)
        return "region.window.base is not a multiple of the page size";
    if (window->size % PAGE)
        return "region.window.size is not a multiple of the page size";
    if (window->base >= TABLE_LIMIT || window->size > TABLE_LIMIT - window->base)
        return "region.window reaches beyond the addresses of programs";
    if (region->flags & ~(uint32_t)KNOWN_FLAGS)
        return "region.flags has a bit that enum segue_region_flags does not define";
    const char *wrong = misuse_of_parts(window);
    return wrong ? wrong : misuse_of_hot(region);
}
