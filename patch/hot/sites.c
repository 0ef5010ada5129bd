/* sites.c: see sites.h. Sites of the same kilobyte of code are close together in the table, so that memory is used only
 * for code that has sites. */
#include "sites.h"

#include "request.h"

#include "patch/hot/space/chunks.h"
#include "platform/memory/memory.h"

#define BLOCK_BITS 10
#define SLOTS_OF_BLOCK 64u
#define PROBES 4096u
/* Each site may have a body that is in use, and some that are retired. */
#define BODIES_OF_SITE 2u
#define LOOKS 8u

_Static_assert(HOT_PAGES_BEFORE == HOT_BODY_BYTES / PAGE + 1, "where a body may begin that holds an address");

static struct hot_site *sites;
static size_t capacity;
/* The most entries, and how many there are. */
static size_t most, claimed;
/* The entry that was made last, as its number plus 1. */
static uint32_t newest;

static struct hot_body *bodies;
static uint32_t body_capacity, bodies_count, free_body;
/* By the page's number (chunk_page_number): the first body that begins in it, as its number plus 1. */
static uint32_t *pages;
static uint64_t retirements = 1;
/* Odd while a body is taken out of the index. */
static uint32_t removals;

enum segue_status sites_prepare(size_t most_sites)
{
    size_t slots = SLOTS_OF_BLOCK;
    if (most_sites > UINT32_MAX / 8)
        return SEGUE_NO_MEMORY;
    /* Spare room keeps searches short. */
    while (slots < 2 * most_sites)
        slots *= 2;
    struct hot_site *table = platform_map_apart(slots * sizeof *table);
    struct hot_body *index = platform_map_apart(BODIES_OF_SITE * slots * sizeof *index);
    uint32_t *begins = platform_map_apart(CHUNKS * (size_t)CHUNK_PAGES * sizeof *begins);
    if (!table || !index || !begins) {
        if (table)
            platform_unmap(table, slots * sizeof *table);
        if (index)
            platform_unmap(index, BODIES_OF_SITE * slots * sizeof *index);
        if (begins)
            platform_unmap(begins, CHUNKS * (size_t)CHUNK_PAGES * sizeof *begins);
        return SEGUE_NO_MEMORY;
    }
    capacity = slots;
    most = most_sites;
    body_capacity = (uint32_t)(BODIES_OF_SITE * slots);
    bodies = index;
    pages = begins;
    __atomic_store_n(&sites, table, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

/* --- Sites. --- */

static size_t first_place(uint64_t address)
{
    uint64_t block = (address >> BLOCK_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    uint64_t within = (address & ((1u << BLOCK_BITS) - 1)) * SLOTS_OF_BLOCK >> BLOCK_BITS;
    return (block * SLOTS_OF_BLOCK + within) & (capacity - 1);
}

struct hot_site *hot_site_find(uint64_t address)
{
    const struct hot_site *table = __atomic_load_n(&sites, __ATOMIC_ACQUIRE);
    size_t at = table ? first_place(address) : 0;
    for (unsigned i = 0; table && address && i < PROBES && i < capacity; i++) {
        struct hot_site *site = &sites[(at + i) & (capacity - 1)];
        uint64_t held = __atomic_load_n(&site->address, __ATOMIC_ACQUIRE);
        if (held == address)
            return site;
        if (!held)
            return NULL;
    }
    return NULL;
}

static void link_newest(struct hot_site *site)
{
    uint32_t next = __atomic_load_n(&newest, __ATOMIC_RELAXED);
    do
        site->next = next;
    while (!__atomic_compare_exchange_n(&newest, &next, (uint32_t)(site - sites) + 1, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

/* Gives the free entry to the address. False if there are as many as there may be, or another thread was first: then
 * `held` is the address that it gave the entry to. */
static bool give(struct hot_site *site, uint64_t address, uint64_t *held)
{
    bool is_ours =
        __atomic_add_fetch(&claimed, 1, __ATOMIC_RELAXED) <= most &&
        __atomic_compare_exchange_n(&site->address, held, address, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (is_ours)
        link_newest(site);
    else
        __atomic_fetch_sub(&claimed, 1, __ATOMIC_RELAXED);
    return is_ours;
}

struct hot_site *site_claim(uint64_t address)
{
    size_t at = first_place(address);
    for (unsigned i = 0; i < PROBES && i < capacity; i++) {
        struct hot_site *site = &sites[(at + i) & (capacity - 1)];
        uint64_t held = __atomic_load_n(&site->address, __ATOMIC_ACQUIRE);
        if (!held && give(site, address, &held))
            return site;
        if (held == address)
            return site;
        if (!held)
            return NULL;
    }
    return NULL;
}

struct hot_site *hot_site_count(uint64_t address)
{
    if (!address || !__atomic_load_n(&sites, __ATOMIC_ACQUIRE))
        return NULL;
    struct hot_site *site = site_claim(address);
    if (site)
        __atomic_fetch_add(&site->faults, 1, __ATOMIC_RELAXED);
    return site;
}

static struct hot_site *numbered(uint32_t number_plus_1)
{
    return number_plus_1 ? &sites[number_plus_1 - 1] : NULL;
}

struct hot_site *site_first(void)
{
    return numbered(__atomic_load_n(&newest, __ATOMIC_ACQUIRE));
}

struct hot_site *site_after(const struct hot_site *site)
{
    return numbered(site->next);
}

/* --- Bodies. --- */

struct hot_body *body_numbered(uint32_t number)
{
    return &bodies[number];
}

uint32_t hot_body_number(const struct hot_body *body)
{
    return (uint32_t)(body - bodies);
}

uint32_t bodies_given(void)
{
    return bodies_count;
}

static struct hot_body *new_body(void)
{
    if (free_body) {
        struct hot_body *body = &bodies[free_body - 1];
        free_body = body->next;
        return body;
    }
    return bodies_count < body_capacity ? &bodies[bodies_count++] : NULL;
}

static uint32_t *page_of(uint64_t address)
{
    return &pages[chunk_page_number(chunk_find(address), address)];
}

struct hot_body *body_add(uint64_t address, uint32_t size, uint64_t site, uint64_t cookie)
{
    struct hot_body *body = new_body();
    if (!body)
        return NULL;
    uint32_t *page = page_of(address);
    *body = (struct hot_body){address, site, cookie, size, *page, 0};
    __atomic_store_n(page, hot_body_number(body) + 1, __ATOMIC_RELEASE);
    return body;
}

void body_retire(struct hot_body *body)
{
    __atomic_store_n(&body->retired, __atomic_fetch_add(&retirements, 1, __ATOMIC_ACQ_REL), __ATOMIC_RELEASE);
}

uint64_t hot_retirement(void)
{
    return __atomic_load_n(&retirements, __ATOMIC_ACQUIRE);
}

void body_remove(struct hot_body *body)
{
    uint32_t number = hot_body_number(body) + 1, *link = page_of(body->address);
    __atomic_fetch_add(&removals, 1, __ATOMIC_ACQ_REL);
    while (*link && *link != number)
        link = &bodies[*link - 1].next;
    if (*link)
        __atomic_store_n(link, body->next, __ATOMIC_RELEASE);
    body->size = 0;
    body->next = free_body;
    free_body = number;
    __atomic_fetch_add(&removals, 1, __ATOMIC_ACQ_REL);
}

static const struct hot_body *find_in_page(uint32_t page, uint64_t address)
{
    unsigned looks = 0;
    for (uint32_t at = __atomic_load_n(&pages[page], __ATOMIC_ACQUIRE); at && looks < PAGE; looks++) {
        const struct hot_body *body = &bodies[at - 1];
        if (address - body->address < body->size)
            return body;
        at = __atomic_load_n(&body->next, __ATOMIC_ACQUIRE);
    }
    return NULL;
}

static const struct hot_body *find_once(const struct chunk *chunk, uint64_t address)
{
    uint32_t page = chunk_page_number(chunk, address), first = chunk_page_number(chunk, chunk->start);
    for (uint32_t back = 0; back <= HOT_PAGES_BEFORE && page - first >= back; back++) {
        const struct hot_body *body = find_in_page(page - back, address);
        if (body)
            return body;
    }
    return NULL;
}

const struct hot_body *hot_body_find(uint64_t address)
{
    const struct chunk *chunk = __atomic_load_n(&sites, __ATOMIC_ACQUIRE) ? chunk_find(address) : NULL;
    for (unsigned i = 0; chunk && i < LOOKS; i++) {
        uint32_t before = __atomic_load_n(&removals, __ATOMIC_ACQUIRE);
        const struct hot_body *body = find_once(chunk, address);
        if (body || (before % 2 == 0 && __atomic_load_n(&removals, __ATOMIC_ACQUIRE) == before))
            return body;
    }
    return NULL;
}

struct hot_index hot_index(void)
{
    return (struct hot_index){chunk_buckets(), chunk_numbered(0), pages, bodies};
}

const struct hot_body *hot_body_of(uint64_t address)
{
    const struct hot_site *site = hot_site_find(address);
    if (!site || __atomic_load_n(&site->state, __ATOMIC_ACQUIRE) != HOT_MADE)
        return NULL;
    return &bodies[site->body];
}
