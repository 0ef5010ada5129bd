/* work.c: see work.h. Before its first fault a work area costs only address space. */
#include "work.h"

#include "platform/memory/memory.h"

_Static_assert(WORK_MOST <= STEP_HOLDERS, "each area has a number by which it holds a stub");

#define LIMIT_SHARE 16

static struct work *areas;
static uint32_t count;

/* As many areas as fit a small part of a limited address space: the rest is left to the program. */
static uint32_t most_wanted(void)
{
    uint32_t wanted = WORK_MOST;
    while (wanted > WORK_LEAST && wanted * sizeof *areas > platform_address_space_limit() / LIMIT_SHARE)
        wanted /= 2;
    return wanted;
}

enum segue_status work_prepare(void)
{
    if (areas)
        return SEGUE_OK;
    for (uint32_t wanted = most_wanted(); wanted >= WORK_LEAST; wanted /= 2) {
        areas = platform_map_apart(wanted * sizeof *areas);
        if (!areas)
            continue;
        __atomic_store_n(&count, wanted, __ATOMIC_RELEASE);
        return SEGUE_OK;
    }
    return SEGUE_NO_MEMORY;
}

uint32_t work_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

struct work *work_at(uint32_t number)
{
    return &areas[number];
}

void work_abandon(struct work *work)
{
    work->level.depth = 0;
    /* The previous owner may not have got as far as noting that it holds the area. */
    work->step.holder = (uint32_t)(work - areas);
    step_abandon(&work->step);
}
