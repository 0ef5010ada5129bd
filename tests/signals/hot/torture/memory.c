/* memory.c: the regions of the torture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decode/x86/page.h"
#include "torture.h"

#define REGIONS 2u

enum mode mode;
static struct segue_mapping shared[REGIONS];
/* The last one is that of torture_page. */
static struct segue_region regions[REGIONS + 1];
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
    region->hot_policy = to < MODE_ASK ? NULL : to == MODE_ASK_VECTORS ? vector_policy : hot_policy;
    region->sample = to == MODE_SAMPLE ? 8 : 0;
    region->context = &happened.asked;
    region->flags = SEGUE_REGION_HOT | (to == MODE_COUNT ? (uint32_t)SEGUE_REGION_COUNT : 0) |
                    (region->hot_policy == hot_policy ? (uint32_t)SEGUE_REGION_HOT_GENERAL : 0) |
                    (to == MODE_ASK_VECTORS ? (uint32_t)SEGUE_REGION_HOT_REGS : 0);
}

bool memory_counts(void)
{
    return mode == MODE_COUNT || mode == MODE_SAMPLE;
}

/* ---- shared regions ---- */

static void protect(unsigned i, bool accessible)
{
    if (i < REGIONS)
        check(segue_mapping_protect(&shared[i], 0, shared[i].size, accessible ? SEGUE_READ | SEGUE_WRITE : 0),
              "segue_mapping_protect");
    else if (mprotect(torture_page, PAGE, accessible ? PROT_READ | PROT_WRITE : PROT_NONE))
        abort();
}

/* Its page becomes one of a file, which has an alias within reach of the code. */
static void prepare_page(struct segue_region *region)
{
    int file = memfd_create("torture", MFD_CLOEXEC);
    void *alias = MAP_FAILED;
    for (uint64_t away = 1; alias == MAP_FAILED && away < 1000; away++)
        alias =
            mmap(torture_page - (away << 20), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
    if (alias == MAP_FAILED || ftruncate(file, PAGE) ||
        mmap(torture_page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
        perror("torture: a page with an alias");
        exit(1);
    }
    torture_alias = alias;
    torture_alias[TORTURE_READ] = UINT64_C(0x123456789abcdef);
    region->window = (struct segue_window){
        .base = (uint64_t)(uintptr_t)torture_page, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = alias};
}

void memory_prepare(void)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        check(segue_mapping_create(NULL, 2 * WORKERS / REGIONS * SLAB, &shared[i]), "segue_mapping_create");
        regions[i] = (struct segue_region){.window = segue_mapping_window(&shared[i])};
    }
    prepare_page(&regions[REGIONS]);
    for (unsigned i = 0; i <= REGIONS; i++) {
        give_mode(&regions[i], MODE_COUNT);
        check(segue_region_add(&regions[i]), "segue_region_add");
        protect(i, false);
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
    for (unsigned i = 0; i <= REGIONS; i++) {
        give_mode(&regions[i], to == MODE_CHANGES ? MODE_LED : to);
        update(i);
    }
}

static void rest(unsigned i, struct random *random)
{
    struct segue_region *region = &regions[i];
    protect(i, true);
    region->flags |= SEGUE_REGION_IDLE;
    update(i);
    happens(&happened.idles, 1);
    for (volatile unsigned spin = random_below(random, 100000); spin;)
        spin = spin - 1;
    region->flags &= ~(uint32_t)SEGUE_REGION_IDLE;
    update(i);
    protect(i, false);
}

void memory_change(struct random *random)
{
    unsigned i = random_below(random, REGIONS + 1);
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

void memory_check(void)
{
    uint64_t expected = torture_alias[TORTURE_EXPECTED];
    if (torture_alias[TORTURE_DONE] != expected || (uint32_t)torture_alias[TORTURE_ADDED] != (uint32_t)(2 * expected))
        fail("constants: %lu and %lu accesses in place of %lu\n", torture_alias[TORTURE_DONE],
             torture_alias[TORTURE_ADDED] / 2, expected);
}

static enum segue_status add_constant(void *context, const struct segue_patch *patch)
{
    *(uint64_t *)context += patch->kind == SEGUE_PATCH_CONSTANT;
    return SEGUE_OK;
}

uint64_t memory_constants(void)
{
    uint64_t count = 0;
    check(segue_patches_list(0, SIZE_MAX, add_constant, &count), "segue_patches_list");
    return count;
}

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
