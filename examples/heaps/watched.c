/* watched.c: a region over the whole memory, with what each way wants. */
#include "watched.h"

#include "opened.h"

static struct {
    struct segue_mapping mapping;
    enum watched_way way;
    bool is_installed;
    /* Counted by count_access. */
    uint64_t accesses;
} watched;

/* Called at each access, in place of a signal. */
static SEGUE_HOT_POLICY enum segue_verdict count_access(void *context, const struct segue_hot_event *event)
{
    uint64_t *accesses = context;
    (void)event;
    ++*accesses;
    return SEGUE_STEP;
}

enum segue_status watched_create(size_t size)
{
    enum segue_status status = opened_prepare();
    return status == SEGUE_OK ? segue_mapping_create(NULL, size, &watched.mapping) : status;
}

const struct segue_mapping *watched_mapping(void)
{
    return &watched.mapping;
}

/* The region of each way. */
static struct segue_region region_of(enum watched_way way)
{
    static const uint32_t flags[WATCHED_WAYS] = {
        [WATCHED_HOT] = SEGUE_REGION_HOT,
        [WATCHED_COUNTED] = SEGUE_REGION_HOT | SEGUE_REGION_COUNT,
        [WATCHED_POLICY] = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL,
    };
    struct segue_region region = {.window = segue_mapping_window(&watched.mapping), .flags = flags[way]};
    if (way == WATCHED_STEPPED || way == WATCHED_POLICY)
        region.policy = opened_policy;
    if (way == WATCHED_POLICY) {
        region.hot_policy = count_access;
        region.context = &watched.accesses;
    }
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
    enum segue_status status = watched.is_installed ? SEGUE_OK : segue_install(NULL);
    watched.is_installed = status == SEGUE_OK;
    if (status == SEGUE_OK)
        status = opened_begin(&watched.mapping, patience);
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

static enum segue_status add_accesses(void *context, const struct segue_patch *patch)
{
    uint64_t *accesses = context;
    *accesses += patch->accesses;
    return SEGUE_OK;
}

struct watched_counts watched_read(void)
{
    struct segue_counters counters = {0};
    uint64_t accesses = watched.accesses;
    segue_counters_read(&counters);
    segue_patches_list(0, SIZE_MAX, add_accesses, &accesses);
    return (struct watched_counts){.faults = counters.faults, .stepped = counters.stepped, .counted = accesses};
}

struct watched_counts watched_since(const struct watched_counts *before)
{
    struct watched_counts now = watched_read();
    return (struct watched_counts){.faults = now.faults - before->faults,
                                   .stepped = now.stepped - before->stepped,
                                   .counted = now.counted - before->counted};
}

static enum segue_status add_site(void *context, const struct segue_patch *patch)
{
    struct watched_sites *sites = context;
    if ((patch->kind == SEGUE_PATCH_HOT || patch->kind == SEGUE_PATCH_CONSTANT) && !patch->undone)
        sites->hot++;
    else if (patch->kind == SEGUE_PATCH_NONE && patch->reason)
        sites->refused++;
    return SEGUE_OK;
}

struct watched_sites watched_sites(void)
{
    struct watched_sites sites = {0};
    segue_patches_list(0, SIZE_MAX, add_site, &sites);
    return sites;
}
