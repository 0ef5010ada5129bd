/* kept.c: see kept.h. */
#include "kept.h"

#include "platform/memory/memory.h"

#define SIZE ((size_t)64 << 20)
#define UNIT ((size_t)16)
#define UNITS_OF(table_size) ((sizeof(struct kept) + (table_size) + UNIT - 1) / UNIT)
#define UNITS_MOST UNITS_OF(sizeof((struct body *)0)->table)

/* In place of what was given back. */
struct hole {
    struct hole *next;
};

static uint8_t *memory;
static size_t used;
/* By their size in units. */
static struct hole *holes[UNITS_MOST + 1];

bool kept_prepare(void)
{
    memory = platform_map_apart(SIZE);
    return memory;
}

__attribute__((hot)) bool kept_is_prepared(void)
{
    return memory;
}

static void *take(size_t *units)
{
    if (!holes[*units] && *units * UNIT <= SIZE - used) {
        used += *units * UNIT;
        return memory + used - *units * UNIT;
    }
    while (*units < UNITS_MOST && !holes[*units])
        ++*units;
    struct hole *taken = holes[*units];
    if (taken)
        holes[*units] = taken->next;
    return taken;
}

struct kept *kept_take(size_t table_size)
{
    size_t units = UNITS_OF(table_size);
    struct kept *taken = take(&units);
    if (taken)
        *taken = (struct kept){.size = (uint32_t)(units * UNIT)};
    return taken;
}

void kept_give_back(struct kept *kept)
{
    size_t units = kept->size / UNIT;
    struct hole *hole = (struct hole *)(void *)kept;
    hole->next = holes[units];
    holes[units] = hole;
}
