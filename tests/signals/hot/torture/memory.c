/* memory.c: the regions of the torture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "torture.h"

#define REGIONS 2u

enum mode mode;
static struct segue_mapping shared[REGIONS];
static struct segue_region regions[REGIONS];
static char plain[2 * WORKERS][SLAB] __attribute__((aligned(16)));

static void check(enum segue_status status, const char *what)
{
    if (status == SEGUE_OK)
        return;
    fprintf(stderr, "torture: %s: %s (%s)\n", what, segue_status_name(status), segue_reason());
    exit(1);
}

/* ---- policies ---- */

static __thread uint64_t asked;

static SEGUE_HOT_POLICY enum segue_verdict hot_policy(void *context, const struct segue_hot_event *event)
{
    (void)event;
    __atomic_fetch_add((uint64_t *)context, 1, __ATOMIC_RELAXED);
    return ++asked % 1024 ? SEGUE_STEP : SEGUE_RETRY;
}

static __attribute__((target("sse2"))) enum segue_verdict vector_policy(void *context,
                                                                        const struct segue_hot_event *event)
{
    const char *wrong = event->regs ? work_check(event->regs, NULL, SIZE_MAX) : NULL;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm15, %%xmm15\n\tfninit" ::: "xmm0", "xmm15");
    if (wrong)
        fail("a policy is shown %#lx: %s\n", event->regs->rip, wrong);
    __atomic_fetch_add((uint64_t *)context, 1, __ATOMIC_RELAXED);
    return ++asked % 1024 ? SEGUE_STEP : SEGUE_DONE;
}

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    happens(&happened.asked_ordinarily, 1);
    return SEGUE_STEP;
}

static void give_mode(struct segue_region *region, enum mode to)
{
    region->policy = to >= MODE_ASK ? policy : NULL;
    region->hot_policy = to < MODE_ASK ? NULL : to == MODE_ASK ? hot_policy : vector_policy;
    region->context = &happened.asked;
    region->flags = SEGUE_REGION_HOT | (to == MODE_COUNT ? (uint32_t)SEGUE_REGION_COUNT : 0) |
                    (to == MODE_ASK ? (uint32_t)SEGUE_REGION_HOT_GENERAL : 0) |
                    (to > MODE_ASK ? (uint32_t)SEGUE_REGION_HOT_REGS : 0);
}

/* ---- shared regions ---- */

void memory_prepare(void)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        check(segue_mapping_create(NULL, 2 * WORKERS / REGIONS * SLAB, &shared[i]), "segue_mapping_create");
        regions[i] = (struct segue_region){.window = segue_mapping_window(&shared[i])};
        give_mode(&regions[i], MODE_COUNT);
        check(segue_region_add(&regions[i]), "segue_region_add");
        check(segue_mapping_protect(&shared[i], 0, shared[i].size, 0), "segue_mapping_protect");
    }
}

struct slab memory_slab(unsigned worker, bool of_child)
{
    const struct segue_mapping *mapping = &shared[worker % REGIONS];
    size_t offset = (worker / REGIONS * 2 + of_child) * SLAB;
    return (struct slab){(char *)mapping->memory + offset, (char *)mapping->alias + offset,
                         plain[2 * worker + of_child]};
}

static void update(unsigned i)
{
    check(segue_region_update(&regions[i]), "segue_region_update");
    happens(&happened.updates, 1);
}

void memory_set(enum mode to)
{
    mode = to;
    for (unsigned i = 0; i < REGIONS; i++) {
        give_mode(&regions[i], to == MODE_CHANGES ? MODE_LED : to);
        update(i);
    }
}

static void rest(unsigned i, struct random *random)
{
    struct segue_region *region = &regions[i];
    check(segue_mapping_protect(&shared[i], 0, shared[i].size, SEGUE_READ | SEGUE_WRITE), "segue_mapping_protect");
    region->flags |= SEGUE_REGION_IDLE;
    update(i);
    happens(&happened.idles, 1);
    for (volatile unsigned spin = random_below(random, 100000); spin;)
        spin = spin - 1;
    region->flags &= ~(uint32_t)SEGUE_REGION_IDLE;
    update(i);
    check(segue_mapping_protect(&shared[i], 0, shared[i].size, 0), "segue_mapping_protect");
}

void memory_change(struct random *random)
{
    unsigned i = random_below(random, REGIONS);
    if (mode == MODE_CHANGES) {
        give_mode(&regions[i], (enum mode)random_below(random, MODE_CHANGES));
        if (random_below(random, 2)) {
            rest(i, random);
            return;
        }
    }
    update(i);
}

/* ---- regions of one thread ---- */

struct slab own_region_begin(struct own_region *own)
{
    check(segue_mapping_create(NULL, SLAB, &own->mapping), "segue_mapping_create");
    struct segue_region region = {.window = segue_mapping_window(&own->mapping)};
    give_mode(&region, mode == MODE_CHANGES ? MODE_LED : mode);
    check(segue_region_add(&region), "segue_region_add");
    check(segue_mapping_protect(&own->mapping, 0, SLAB, 0), "segue_mapping_protect");
    own->plain = malloc(SLAB);
    if (!own->plain)
        abort();
    happens(&happened.own_regions, 1);
    return (struct slab){own->mapping.memory, own->mapping.alias, own->plain};
}

void own_region_end(struct own_region *own)
{
    check(segue_mapping_protect(&own->mapping, 0, SLAB, SEGUE_READ | SEGUE_WRITE), "segue_mapping_protect");
    check(segue_region_remove(own->mapping.memory), "segue_region_remove");
    check(segue_mapping_destroy(&own->mapping), "segue_mapping_destroy");
    free(own->plain);
}

/* ---- counts ---- */

static enum segue_status add_accesses(void *context, const struct segue_patch *patch)
{
    *(uint64_t *)context += patch->accesses;
    return SEGUE_OK;
}

uint64_t memory_counted(void)
{
    struct segue_counters counters;
    uint64_t sum = 0;
    check(segue_patches_list(0, SIZE_MAX, add_accesses, &sum), "segue_patches_list");
    segue_counters_read(&counters);
    return sum + counters.stepped;
}
