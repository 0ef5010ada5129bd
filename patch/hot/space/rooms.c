/* rooms.c: see rooms.h. */
#include "rooms.h"

#include "chunks.h"
#include "free.h"
#include "gaps.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"

/* The most free ranges that are examined for one room. A range that a room leaves so little of is taken at once. */
#define LOOKS 1024u
#define LITTLE 16u
/* The runs of targets that are examined in a chunk, and outside all chunks; the pages around the best one. */
#define RUNS 4u
#define RUNS_OUTSIDE 16u
#define PAGES_AROUND 64u
#define AREAS 1024u

static const char *const no_memory = "bodies may take no more memory";
static const char *const no_room = "no room within the reach of the jump";

static struct area {
    uint64_t start, used;
} areas[AREAS];
static size_t area_count;

enum segue_status rooms_prepare(void)
{
    static struct once reserved;
    return chunks_prepare() == SEGUE_OK && once(&reserved, free_prepare) ? SEGUE_OK : SEGUE_NO_MEMORY;
}

/* --- A room in a free range. --- */

/* The number of pages that the chunk lacks for [address, end); UINT64_MAX if the pages from `from` to there are in use
 * or outside it. */
static uint64_t pages_missing(const struct chunk *chunk, uint64_t from, uint64_t end)
{
    uint64_t missing = 0;
    if (end > chunk->start + chunk->size)
        return UINT64_MAX;
    for (uint64_t page = from; page < end; page += PAGE, missing++)
        if (chunk_is_touched(chunk, page))
            return UINT64_MAX;
    return missing;
}

struct choice {
    size_t range;
    uint64_t address, cost;
};

/* Compares the best place with that one in the range. */
static void compare(struct choice *best, size_t number, uint64_t address, uint64_t size, bool beside)
{
    const struct free_range *range = &free_ranges()[number];
    uint64_t missing = 0;
    if (address + size > range->end) {
        if (!beside || range->end % PAGE)
            return;
        missing = pages_missing(chunk_find(range->start), range->end, address + size);
        if (missing == UINT64_MAX)
            return;
    }
    uint64_t cost = missing << 32 | (range->end + missing * PAGE - range->start - size);
    if (cost < best->cost)
        *best = (struct choice){number, address, cost};
}

/* What is searched for in the ranges. */
struct search {
    const struct pun_window *window;
    uint64_t first, last, size;
    bool beside;
    struct choice best;
};

/* Examines the ranges from that number on which have targets, at most `looks`. Returns how many are left to examine. */
static unsigned choose_from(struct search *search, size_t number, unsigned looks)
{
    const struct free_range *ranges = free_ranges();
    size_t count = free_count();
    uint64_t target = search->first;
    while (number < count && ranges[number].start <= search->last && looks > 0 && search->best.cost > LITTLE) {
        const struct free_range *range = &ranges[number];
        if (range->end - range->start < search->size && (!search->beside || range->end % PAGE)) {
            number++;
        } else if (target < range->start && !pun_next(search->window, range->start, &target)) {
            break;
        } else if (target > range->end) {
            number = free_from(number + 1, target);
        } else {
            compare(&search->best, number++, target, search->size, search->beside);
            looks--;
        }
    }
    return looks;
}

/* The best place: the fewest new pages, then the range that leaves least over. */
static bool choose(const struct pun_window *window, uint64_t size, bool beside, struct choice *best)
{
    /* If a window has more ranges than can be examined, they take turns. */
    static size_t turn;
    struct search search = {window, 0, 0, size, beside, {.cost = UINT64_MAX}};
    if (!pun_next(window, 0, &search.first) || !pun_last(window, &search.last))
        return false;
    size_t begin = free_from(0, search.first), first = begin;
    if (begin + LOOKS < free_count() && turn > begin && turn < free_count())
        first = turn;
    unsigned left = choose_from(&search, first, LOOKS);
    turn = first + LOOKS - left;
    if (left && first != begin)
        choose_from(&search, begin, left);
    *best = search.best;
    return best->cost != UINT64_MAX;
}

static bool touch(struct chunk *chunk, uint64_t from, uint64_t end)
{
    for (uint64_t page = from; page < end; page += PAGE)
        if (!chunk_touch(chunk, page)) {
            chunk_untouch(chunk, from, page - from);
            return false;
        }
    return true;
}

/* Cuts the room out of a free range. */
static enum segue_status cut(struct chunk *chunk, size_t range, uint64_t address, uint64_t size, struct room *room,
                             const char **refusal)
{
    if (!chunk_own(chunk)) {
        *refusal = no_memory;
        return SEGUE_NO_MEMORY;
    }
    free_take(range, address, address + size);
    *room = (struct room){address, (uint8_t *)(uintptr_t)(chunk->memory.writable + (address - chunk->start)), size};
    return SEGUE_OK;
}

/* Chunks are changed by the one caller alone. */
static struct chunk *chunk_of(uint64_t address)
{
    return (struct chunk *)chunk_find(address);
}

static enum segue_status take_chosen(const struct choice *choice, uint64_t size, struct room *room,
                                     const char **refusal)
{
    struct free_range range = free_ranges()[choice->range];
    struct chunk *chunk = chunk_of(range.start);
    uint64_t end = range.end;
    while (end < choice->address + size)
        end += PAGE;
    if (!touch(chunk, range.end, end)) {
        *refusal = no_memory;
        return SEGUE_NO_MEMORY;
    }
    free_extend(choice->range, end);
    return cut(chunk, choice->range, choice->address, size, room, refusal);
}

/* --- A new page. --- */

/* Targets without a gap, apart from low bytes that the window fixes. */
struct run {
    uint64_t first, last;
};

/* The run that begins at the lowest target from `from` on. */
static bool find_run(const struct pun_window *window, uint64_t from, struct run *run)
{
    /* Without the low bits that are fixed. */
    uint32_t mask = window->mask & (window->mask + 1);
    if (!pun_next(window, from, &run->first))
        return false;
    if (!mask) {
        run->last = window->origin + INT32_MAX;
        return true;
    }
    uint32_t within = (mask & -mask) - 1, displacement = (uint32_t)(run->first - window->origin);
    run->last = run->first + (within - (displacement & within));
    return true;
}

/* The address in [first, last] that is a multiple of the highest power of two: neighbouring windows overlap, and agree
 * about it. */
static uint64_t canonical_in(uint64_t first, uint64_t last)
{
    uint64_t differ = first ^ last;
    if (!differ)
        return last;
    uint64_t bits = UINT64_MAX >> __builtin_clzll(differ);
    uint64_t address = last & ~(bits >> 1);
    return (first & bits) == 0 ? first : address;
}

/* Whether a room can begin in that page, and where. */
static bool fits_page(const struct chunk *chunk, const struct pun_window *window, uint64_t page, uint64_t size,
                      uint64_t *address)
{
    return page - chunk->start < chunk->size && !chunk_is_touched(chunk, page) && pun_next(window, page, address) &&
           *address < page + PAGE && pages_missing(chunk, page, *address + size) != UINT64_MAX;
}

struct fresh {
    struct chunk *chunk;
    uint64_t page, address;
};

static bool find_in_run(struct chunk *chunk, const struct pun_window *window, const struct run *run, uint64_t size,
                        struct fresh *fresh)
{
    uint64_t last = chunk->start + chunk->size - 1;
    uint64_t first = run->first > chunk->start ? run->first : chunk->start;
    last = run->last < last ? run->last : last;
    if (first > last)
        return false;
    uint64_t middle = canonical_in(first, last) & -(uint64_t)PAGE;
    fresh->chunk = chunk;
    for (uint64_t i = 0; i < PAGES_AROUND; i++) {
        fresh->page = middle + i * PAGE;
        if (fits_page(chunk, window, fresh->page, size, &fresh->address))
            return true;
        fresh->page = middle - i * PAGE;
        if (fits_page(chunk, window, fresh->page, size, &fresh->address))
            return true;
    }
    return false;
}

static bool find_in_chunk(struct chunk *chunk, const struct pun_window *window, uint64_t size, struct fresh *fresh)
{
    struct run run = {0, chunk->start - 1};
    for (unsigned i = 0; i < RUNS; i++) {
        if (!find_run(window, run.last + 1, &run) || run.first >= chunk->start + chunk->size)
            return false;
        if (find_in_run(chunk, window, &run, size, fresh))
            return true;
    }
    return false;
}

/* Of all chunks the one with the roundest page. */
static bool find_in_chunks(const struct pun_window *window, uint64_t size, struct fresh *best)
{
    unsigned roundest = 0;
    for (uint32_t i = 0; i < chunks_used().chunks; i++) {
        struct fresh fresh;
        if (!find_in_chunk(chunk_numbered(i), window, size, &fresh))
            continue;
        unsigned round = (unsigned)__builtin_ctzll(fresh.page);
        if (round > roundest) {
            roundest = round;
            *best = fresh;
        }
    }
    return roundest;
}

/* Maps a chunk for one of the runs, from `from` on. */
static enum segue_status create_from(const struct pun_window *window, uint64_t from, uint64_t size, struct fresh *fresh,
                                     const char **refusal)
{
    struct run run = {0, from - 1};
    for (unsigned i = 0; i < RUNS_OUTSIDE && find_run(window, run.last + 1, &run); i++) {
        struct chunk *chunk;
        uint64_t near =
            run.last - run.first < UINT64_C(1) << CHUNK_BITS ? canonical_in(run.first, run.last) : window->origin;
        if (chunk_create(run.first, run.last, near, &chunk, refusal) == SEGUE_OK &&
            find_in_run(chunk, window, &run, size, fresh))
            return SEGUE_OK;
    }
    return SEGUE_NO_MEMORY;
}

static enum segue_status take_fresh(const struct pun_window *window, uint64_t size, struct room *room,
                                    const char **refusal)
{
    const uint64_t step = UINT64_C(1) << CHUNK_BITS;
    struct fresh fresh;
    *refusal = no_room;
    if (!find_in_chunks(window, size, &fresh) &&
        create_from(window, window->origin > step ? window->origin - step : 0, size, &fresh, refusal) != SEGUE_OK &&
        create_from(window, 0, size, &fresh, refusal) != SEGUE_OK)
        return SEGUE_NO_MEMORY;
    uint64_t end = fresh.page + PAGE;
    while (end < fresh.address + size)
        end += PAGE;
    if (!touch(fresh.chunk, fresh.page, end)) {
        *refusal = no_memory;
        return SEGUE_NO_MEMORY;
    }
    free_add(fresh.page, end);
    return cut(fresh.chunk, free_from(0, fresh.address + 1), fresh.address, size, room, refusal);
}

/* --- Rooms. --- */

enum segue_status rooms_take(const struct pun_window *window, uint64_t size, enum rooms_effort effort,
                             struct room *room, const char **refusal)
{
    struct choice choice;
    chunks_are_inherited();
    *refusal = no_room;
    if (choose(window, size, effort >= ROOMS_BESIDE, &choice))
        return take_chosen(&choice, size, room, refusal);
    return effort >= ROOMS_ANYWHERE ? take_fresh(window, size, room, refusal) : SEGUE_NO_MEMORY;
}

void rooms_trim(struct room *room, uint64_t used)
{
    if (used < room->size)
        free_add(room->address + used, room->address + room->size);
    room->size = used;
}

void rooms_give_back(const struct room *room)
{
    free_add(room->address, room->address + room->size);
}

/* Gives the whole pages of the free range that holds the address back to the system. Windows that have few targets may
 * need them again, which others would fill meanwhile. */
static void release_pages(uint64_t address)
{
    size_t number = free_from(0, address + 1);
    if (number == free_count())
        return;
    struct free_range range = free_ranges()[number];
    uint64_t first = (range.start + PAGE - 1) & -(uint64_t)PAGE, end = range.end & -(uint64_t)PAGE;
    if (address < range.start || first >= end)
        return;
    free_take(number, first, end);
    chunk_untouch(chunk_of(address), first, end - first);
}

void rooms_free(uint64_t address, uint64_t size)
{
    chunks_are_inherited();
    if (!chunk_take_back(chunk_of(address)))
        return;
    free_add(address, address + size);
    release_pages(address);
}

/* --- Data. --- */

_Static_assert(ROOMS_REACH + ROOMS_CODE + ROOMS_DATA < UINT64_C(1) << 31, "a displacement reaches all of the data");

static bool reaches(uint64_t start, uint64_t near)
{
    return (start > near ? start - near : near - start) < ROOMS_REACH - ROOMS_DATA;
}

/* What a chunk has reserved, and is not in use; otherwise free addresses. False if nothing is within reach. */
static bool reserve_area(uint64_t near, uint64_t *start)
{
    const uint64_t reach = ROOMS_REACH - ROOMS_DATA - PAGE;
    for (uint32_t i = 0; i < chunks_used().chunks; i++) {
        struct chunk *chunk = chunk_numbered(i);
        if (chunk->data_taken + ROOMS_DATA > CHUNK_DATA || !chunk->data || !reaches(chunk->data, near))
            continue;
        *start = chunk->data + chunk->data_taken;
        chunk->data_taken += ROOMS_DATA;
        return true;
    }
    struct gap_search search = {
        .low = near > reach ? near - reach : 0, .end = near + reach, .size = ROOMS_DATA, .near = near};
    if (!gaps_find(&search) || platform_reserve_at(search.place, ROOMS_DATA) != 0)
        return false;
    gaps_take(search.place, search.place + ROOMS_DATA);
    *start = search.place;
    return true;
}

enum segue_status rooms_take_data(uint64_t near, uint64_t size, void **data, const char **refusal)
{
    size_t at = 0;
    size = (size + 63) & -UINT64_C(64);
    if (size == 0 || size > ROOMS_DATA)
        return SEGUE_INVALID;
    while (at < area_count && (!reaches(areas[at].start, near) || areas[at].used + size > ROOMS_DATA))
        at++;
    *refusal = "no address for a body's data is free within reach";
    if (at == AREAS || (at == area_count && !reserve_area(near, &areas[at].start)))
        return SEGUE_NO_MEMORY;
    if (at == area_count) {
        *refusal = no_memory;
        if (platform_protect(areas[at].start, ROOMS_DATA, PLATFORM_READ | PLATFORM_WRITE) != 0)
            return SEGUE_NO_MEMORY;
        areas[at].used = 0;
        area_count++;
    }
    *data = (void *)(uintptr_t)(areas[at].start + areas[at].used);
    areas[at].used += size;
    return SEGUE_OK;
}
