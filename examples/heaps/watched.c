/* watched.c: a region over the whole memory, with what each way wants. */
#include "watched.h"

#include "opened.h"

static struct {
    struct segue_mapping mapping;
    enum watched_way way;
} watched;

enum segue_status watched_create(size_t size)
{
    enum segue_status status = segue_install(NULL);
    if (status != SEGUE_OK)
        return status;
    status = segue_mapping_create(NULL, size, &watched.mapping);
    if (status != SEGUE_OK)
        segue_uninstall(NULL);
    return status;
}

void watched_destroy(void)
{
    segue_mapping_destroy(&watched.mapping);
    segue_uninstall(NULL);
}

const struct segue_mapping *watched_mapping(void)
{
    return &watched.mapping;
}

/* The region of each way. */
static struct segue_region region_of(enum watched_way way)
{
    struct segue_region region = {.window = segue_mapping_window(&watched.mapping)};
    if (way == WATCHED_STEPPED)
        region.policy = opened_policy;
    return region;
}

/* Opens or closes all of it. */
static enum segue_status protect(uint8_t allowed)
{
    return segue_mapping_protect(&watched.mapping, 0, watched.mapping.size, allowed);
}

enum segue_status watched_begin(enum watched_way way, unsigned patience)
{
    watched.way = way;
    opened_end();
    if (way == WATCHED_NOT)
        return SEGUE_OK;
    struct segue_region region = region_of(way);
    enum segue_status status = opened_begin(&watched.mapping, patience);
    if (status == SEGUE_OK)
        status = segue_region_add(&region);
    if (status == SEGUE_OK)
        status = protect(0);
    return status;
}

enum segue_status watched_end(void)
{
    if (watched.way == WATCHED_NOT)
        return SEGUE_OK;
    watched.way = WATCHED_NOT;
    enum segue_status status = protect(SEGUE_READ | SEGUE_WRITE);
    return status == SEGUE_OK ? segue_region_remove(watched.mapping.memory) : status;
}

struct watched_counts watched_read(void)
{
    struct segue_counters counters = {0};
    segue_counters_read(&counters);
    return (struct watched_counts){.faults = counters.faults};
}

struct watched_counts watched_since(const struct watched_counts *before)
{
    struct watched_counts now = watched_read();
    return (struct watched_counts){.faults = now.faults - before->faults};
}
