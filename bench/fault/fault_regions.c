/* fault_regions.c: what a region costs when there are a million of them.
 *
 * One range of a million pages is one region; a second range, of the same memory, is a million regions of a page each.
 * Both are touched at the same pages in the same shuffled order, half the way round apart, so that neither finds in the
 * caches what the other one has just used: every touch finds all but the upper levels of the table, and of the
 * processor's own page tables, cold. The hot walks touch a few pages again and again, and show what the table costs
 * alone.
 *
 * SOURCES: mremap(2), old_size 0: a second mapping of shared memory. */
#include "fault.h"

#include <errno.h>
#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/harness/touch.h"

#define PAGES 1000000u
/* How many of them are touched; only these have memory. */
#define TOUCHED 65536u
/* How many of those a hot walk touches again and again. */
#define HOT 8u

/* One way round the touched pages. */
struct walk {
    enum action action;
    /* The range of a million pages. */
    char *base;
    /* It goes round the first `length` pages of `order`, and stands at `place`, modulo `length`. */
    uint32_t length;
    uint32_t place;
};

struct walk walk_floor = {.action = ACTION_FLOOR, .length = TOUCHED, .place = TOUCHED / 4};
struct walk walk_one = {.action = ACTION_OURS, .length = TOUCHED};
struct walk walk_million = {.action = ACTION_OURS, .length = TOUCHED, .place = TOUCHED / 2};
struct walk walk_one_hot = {.action = ACTION_OURS, .length = HOT};
struct walk walk_million_hot = {.action = ACTION_OURS, .length = HOT};

static struct segue_mapping mapping;
static uint32_t order[TOUCHED];

/* Xorshift, with a fixed start: every run touches the same pages. */
static uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * limit >> 32);
}

/* The first part of a shuffle of all pages. */
static void choose_pages(void)
{
    uint32_t *pages = malloc(PAGES * sizeof *pages);
    if (!pages)
        bench_fail("there is no memory for the order of the pages");
    for (uint32_t i = 0; i < PAGES; i++)
        pages[i] = i;
    for (uint32_t i = 0; i < TOUCHED; i++) {
        uint32_t other = i + random_below(PAGES - i);
        order[i] = pages[other];
        pages[other] = pages[i];
    }
    free(pages);
}

static void add(uint64_t offset, uint64_t size, char *base)
{
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)base + offset,
                                             .size = size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = (char *)mapping.alias + offset}};
    enum segue_status status = segue_region_add(&region);
    if (status != SEGUE_OK)
        bench_fail("segue_region_add: %s", segue_status_text(status));
}

static void remove_and_check(char *base)
{
    struct segue_region found;
    enum segue_status status = segue_region_remove(base);
    if (status != SEGUE_OK)
        bench_fail("segue_region_remove: %s", segue_status_text(status));
    if (segue_region_find(base, &found) != SEGUE_NOT_FOUND)
        bench_fail("a region that was removed is still found");
}

static double milliseconds_since(uint64_t start)
{
    return (double)(bench_clock() - start) / 1e6;
}

static void add_million(void)
{
    uint64_t start = bench_clock();
    for (uint64_t i = 0; i < PAGES; i++)
        add(i * PAGE, PAGE, walk_million.base);
    bench_note("add_1e6_regions", milliseconds_since(start), "ms");
}

static void remove_million(void)
{
    uint64_t start = bench_clock();
    for (uint64_t i = 0; i < PAGES; i++)
        remove_and_check(walk_million.base + i * PAGE);
    bench_note("remove_1e6_regions", milliseconds_since(start), "ms");
}

/* Each touched page holds its number, and is in the page tables of the alias. */
static void fill_pages(void)
{
    for (uint32_t i = 0; i < TOUCHED; i++) {
        touch_word number = order[i];
        memcpy((char *)mapping.alias + number * PAGE, &number, sizeof number);
    }
}

/* A million pages, twice and an alias, are more than 32-bit addresses. */
static bool has_room(void)
{
    return SIZE_MAX / 4 > (uint64_t)PAGES * PAGE;
}

static void skip_all(void)
{
    static const char *const variants[] = {"floor_scattered", "regions_1", "regions_1e6", "regions_1_hot",
                                           "regions_1e6_hot"};
    for (size_t i = 0; i < COUNT(variants); i++)
        bench_skip(variants[i], "a million pages are more than the addresses of this program");
}

void regions_create(void)
{
    if (!has_room()) {
        skip_all();
        return;
    }
    enum segue_status status = segue_mapping_create(NULL, (size_t)PAGES * PAGE, &mapping);
    if (status != SEGUE_OK)
        bench_fail("segue_mapping_create: %s", segue_status_text(status));
    walk_floor.base = walk_one.base = walk_one_hot.base = mapping.memory;
    walk_million.base = mremap(mapping.memory, 0, mapping.size, MREMAP_MAYMOVE);
    if (walk_million.base == MAP_FAILED)
        bench_fail("mremap: %s", strerror(errno));
    walk_million_hot.base = walk_million.base;
    choose_pages();
    fill_pages();
    add(0, mapping.size, walk_one.base);
    add_million();
    if (mprotect(walk_one.base, mapping.size, PROT_NONE) != 0 ||
        mprotect(walk_million.base, mapping.size, PROT_NONE) != 0)
        bench_fail("mprotect of a million pages: %s", strerror(errno));
}

void regions_destroy(void)
{
    if (!has_room())
        return;
    remove_and_check(walk_one.base);
    remove_million();
    munmap(walk_million.base, mapping.size);
    segue_mapping_destroy(&mapping);
}

void regions_prepare(const struct bench_variant *variant)
{
    action_use(((const struct walk *)variant->context)->action);
}

void regions_run(const struct bench_variant *variant, unsigned operations)
{
    struct walk *walk = variant->context;
    uint64_t wrong = 0;
    for (unsigned i = 0; i < operations; i++) {
        touch_word page = order[walk->place++ % walk->length];
        wrong |= touch_load(walk->base + page * PAGE, 0) ^ page;
    }
    if (walk->action == ACTION_FLOOR)
        return;
    expect_steps(operations);
    if (wrong)
        bench_fail("a stepped load gave another page's number");
}
