/* near.c: platform_reserve_near (platform/memory/adopted.h).
 *
 * Small reservations lie beside one another, so that large ones find room behind them: the next one is tried at the
 * ends of those before it. Where that is not possible, the list of mappings says what is free.
 *
 * ASSUMPTIONS: the program break and the first thread's stack grow by no more than ROOM_TO_GROW. */
#if !defined(__linux__)
#error "platform/linux/memory/near.c is specific to Linux"
#endif

#include "platform/memory/adopted.h"

#include <errno.h>
#include <stddef.h>

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

/* No addresses for programs below. */
#define LOWEST (UINT64_C(1) << 16)
/* Linux keeps so much free below a stack, too (arch/x86/mm/mmap.c, mmap_base). */
#define ROOM_TO_GROW (UINT64_C(128) << 20)
/* Other threads may map what was free. */
#define TRIES 8u
#define PIECE 1024u

/* What is wanted: the addresses at which the reservation may begin, and the pages that it is for. */
struct wanted {
    uint64_t lowest, highest, size;
    uint64_t pages, pages_end;
};

/* Free addresses. */
struct gap {
    uint64_t start, end;
};

/* Reservations that are beside one another, and the free addresses that they were in. */
static struct gap run, around;
/* How many of them are not given back. */
static unsigned run_count;

static struct wanted wanted_of(uint64_t at, uint64_t size, uint64_t whole)
{
    const uint64_t below = at + size - PLATFORM_VIEWS_NEAR, above = at + PLATFORM_VIEWS_NEAR;
    const uint64_t limit = canonical_user_end();
    return (struct wanted){
        .lowest = at + size > PLATFORM_VIEWS_NEAR + LOWEST ? (below + PAGE - 1) & -(uint64_t)PAGE : LOWEST,
        .highest = ((above < limit ? above : limit) - whole) & -(uint64_t)PAGE,
        .size = whole,
        .pages = at,
        .pages_end = at + size,
    };
}

static bool is_wanted(const struct wanted *wanted, const struct gap *gap, uint64_t at)
{
    return at >= wanted->lowest && at <= wanted->highest && at >= gap->start && at < gap->end &&
           gap->end - at >= wanted->size;
}

/* 0 if none of its ends is free, or near enough. */
static uint64_t extend_run(const struct wanted *wanted)
{
    const uint64_t below = run.start - wanted->size;
    if (is_wanted(wanted, &around, run.end) && platform_reserve_at(run.end, wanted->size) == 0) {
        run.end += wanted->size;
        return run.end - wanted->size;
    }
    if (run.start > wanted->size && is_wanted(wanted, &around, below) &&
        platform_reserve_at(below, wanted->size) == 0) {
        run.start = below;
        return below;
    }
    return 0;
}

static uint64_t distance_of(const struct wanted *wanted, uint64_t at)
{
    return at < wanted->pages ? wanted->pages - (at + wanted->size) : at - wanted->pages_end;
}

/* The farthest of the gap's addresses, if that is farther than `*at`, or that is 0. */
static bool look_at_gap(const struct wanted *wanted, const struct gap *gap, uint64_t *at)
{
    const uint64_t last = gap->end - gap->start >= wanted->size ? gap->end - wanted->size : 0;
    const uint64_t ends[] = {gap->start > wanted->lowest ? gap->start : wanted->lowest,
                             last < wanted->highest ? last : wanted->highest};
    const uint64_t before = *at;
    for (size_t i = 0; gap->start < gap->end && i < sizeof ends / sizeof *ends; i++)
        if (is_wanted(wanted, gap, ends[i]) && (!*at || distance_of(wanted, ends[i]) > distance_of(wanted, *at)))
            *at = ends[i];
    return *at != before;
}

/* What is free between two mappings, and what grows into it. */
static struct gap gap_between(const struct mapping *below, const struct mapping *above)
{
    return (struct gap){below->end + (below->growth == MAPPING_IS_HEAP ? ROOM_TO_GROW : 0),
                        above->start - (above->growth == MAPPING_IS_STACK ? ROOM_TO_GROW : 0)};
}

static uint64_t find_free(const struct wanted *wanted, struct gap *found)
{
    char piece[PIECE];
    struct mappings list;
    const struct mapping end = {.start = canonical_user_end()};
    struct mapping below = {.end = LOWEST}, above;
    uint64_t at = 0;
    if (!mappings_open(&list, piece, sizeof piece))
        return 0;
    for (bool is_last = false; !is_last && below.end <= wanted->highest; below = above) {
        is_last = !mappings_next(&list, &above);
        const struct gap gap = gap_between(&below, is_last ? &end : &above);
        if (look_at_gap(wanted, &gap, &at))
            *found = gap;
    }
    mappings_close(&list);
    return at;
}

uint64_t platform_reserve_near(uint64_t at, uint64_t size, uint64_t whole)
{
    if (size + whole > PLATFORM_VIEWS_NEAR)
        return 0;
    const struct wanted wanted = wanted_of(at, size, whole);
    uint64_t found = extend_run(&wanted);
    run_count += found != 0;
    for (unsigned i = 0; !found && i < TRIES; i++) {
        struct gap gap;
        const uint64_t free = find_free(&wanted, &gap);
        const long result = free ? platform_reserve_at(free, whole) : -ENOMEM;
        if (result == 0) {
            run = (struct gap){free, free + whole};
            around = gap;
            run_count = 1;
            found = free;
        } else if (result != -EEXIST) {
            return 0;
        }
    }
    return found;
}

void platform_unreserve_near(uint64_t reserved, uint64_t whole)
{
    platform_unmap_quietly((void *)(uintptr_t)reserved, whole);
    if (reserved >= run.start && reserved < run.end && run_count && --run_count == 0)
        run = around = (struct gap){0, 0};
}
