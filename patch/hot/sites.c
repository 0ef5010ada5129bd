/* sites.c: see sites.h. The places of a page of code are in one page, so that memory is used only for code that has
 * sites. */
#include "sites.h"

#include "request.h"

#include "patch/hot/space/chunks.h"
#include "platform/memory/memory.h"

#define BLOCK_BITS PAGE_BITS
#define SLOTS_OF_BLOCK 1024u
#define PROBES 4096u
/* Each site may have a body that is in use, and some that are retired. */
#define BODIES_OF_SITE 4u
#define BODIES_LEAST 128u
#define LOOKS 8u

_Static_assert(HOT_PAGES_BEFORE == HOT_BODY_BYTES / PAGE + 1, "where a body may begin that holds an address");

/* In the order of their making: a site takes memory only for itself. */
static struct hot_site *sites;
/* By address: the number of an entry plus 1, and below it the address's low bits, so that most searches need not look
 * at entries of other addresses. 0: free. */
static uint32_t *places;
#define LOW_BITS 3u
static size_t capacity;
/* The most entries, and how many were given out. */
static size_t most, claimed;
/* An entry that was given out, and is not used, as its number plus 1. */
static uint32_t spare;
/* The entry that was made last, as its number plus 1. */
static uint32_t newest;

static struct hot_body *bodies;
static uint32_t body_capacity, bodies_count, free_body;
/* By the page's number (chunk_page_number): the first body that begins in it, as its number plus 1. */
static uint32_t *pages;
static uint64_t retirements = 1;
/* Bytes of bodies. */
static uint64_t retired_size;
static uint32_t frees;
/* Odd while a body is taken out of the index. */
static uint32_t removals;

enum segue_status sites_prepare(size_t most_sites)
{
    size_t slots = SLOTS_OF_BLOCK;
    if (most_sites >= UINT32_MAX >> LOW_BITS)
        return SEGUE_NO_MEMORY;
    /* Spare room keeps searches short. */
    while (slots < 4 * most_sites)
        slots *= 2;
    struct hot_site *table = platform_map_apart(most_sites * sizeof *table);
    uint32_t *by_address = platform_map_apart(slots * sizeof *by_address);
    size_t most_bodies = BODIES_OF_SITE * most_sites + BODIES_LEAST;
    struct hot_body *index = platform_map_apart(most_bodies * sizeof *index);
    uint32_t *begins = platform_map_apart(CHUNKS * (size_t)CHUNK_PAGES * sizeof *begins);
    if (!table || !by_address || !index || !begins) {
        if (table)
            platform_unmap(table, most_sites * sizeof *table);
        if (by_address)
            platform_unmap(by_address, slots * sizeof *by_address);
        if (index)
            platform_unmap(index, most_bodies * sizeof *index);
        if (begins)
            platform_unmap(begins, CHUNKS * (size_t)CHUNK_PAGES * sizeof *begins);
        return SEGUE_NO_MEMORY;
    }
    capacity = slots;
    most = most_sites;
    body_capacity = (uint32_t)most_bodies;
    bodies = index;
    pages = begins;
    places = by_address;
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

static struct hot_site *numbered(uint32_t number_plus_1)
{
    return number_plus_1 ? &sites[number_plus_1 - 1] : NULL;
}

static uint32_t place_for(const struct hot_site *site, uint64_t address)
{
    return (uint32_t)(site - sites + 1) << LOW_BITS | (address & ((1u << LOW_BITS) - 1));
}

/* The site that the place holds, if it is that address's. */
static struct hot_site *held_at(uint32_t place, uint64_t address)
{
    struct hot_site *site = numbered(place >> LOW_BITS);
    return ((place ^ address) & ((1u << LOW_BITS) - 1)) == 0 && site->address == address ? site : NULL;
}

struct hot_site *hot_site_find(uint64_t address)
{
    bool is_prepared = __atomic_load_n(&sites, __ATOMIC_ACQUIRE) != NULL;
    size_t at = is_prepared ? first_place(address) : 0;
    for (unsigned i = 0; is_prepared && address && i < PROBES && i < capacity; i++) {
        uint32_t place = __atomic_load_n(&places[(at + i) & (capacity - 1)], __ATOMIC_ACQUIRE);
        struct hot_site *site = place ? held_at(place, address) : NULL;
        if (!place || site)
            return site;
    }
    return NULL;
}

/* Sorted by address. */
static void insert(struct hot_site **found, unsigned count, struct hot_site *site)
{
    for (; count && found[count - 1]->address > site->address; count--)
        found[count] = found[count - 1];
    found[count] = site;
}

/* In one block: what is not at its first place is behind places that are not free. */
static unsigned find_in_block(uint64_t start, uint64_t end, struct hot_site **found, unsigned count)
{
    size_t first = first_place(start), last = first + (first_place(end - 1) - first_place(start));
    for (size_t at = first; at < first + PROBES; at++) {
        uint32_t place = __atomic_load_n(&places[at & (capacity - 1)], __ATOMIC_ACQUIRE);
        if (!place && at >= last)
            break;
        struct hot_site *site = numbered(place >> LOW_BITS);
        if (site && site->address - start < end - start)
            insert(found, count++, site);
    }
    return count;
}

unsigned sites_in(uint64_t start, uint64_t size, struct hot_site **found)
{
    uint64_t end = start + size, middle = (start | (PAGE - 1)) + 1;
    if (size == 0 || !__atomic_load_n(&sites, __ATOMIC_ACQUIRE))
        return 0;
    if (end <= middle)
        return find_in_block(start, end, found, 0);
    return find_in_block(middle, end, found, find_in_block(start, middle, found, 0));
}

static void link_newest(struct hot_site *site)
{
    uint32_t next = __atomic_load_n(&newest, __ATOMIC_RELAXED);
    do
        site->next = next;
    while (!__atomic_compare_exchange_n(&newest, &next, (uint32_t)(site - sites) + 1, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

/* An entry that is in no place; NULL if there are as many as there may be. */
static struct hot_site *take_entry(uint64_t address)
{
    struct hot_site *site = numbered(__atomic_exchange_n(&spare, 0, __ATOMIC_ACQUIRE));
    if (!site) {
        size_t number = __atomic_fetch_add(&claimed, 1, __ATOMIC_RELAXED);
        if (!sites || number >= most) {
            __atomic_fetch_sub(&claimed, 1, __ATOMIC_RELAXED);
            return NULL;
        }
        site = &sites[number];
    }
    site->address = address;
    return site;
}

/* Of several that threads give back at once one is kept. */
static void give_entry_back(struct hot_site *site)
{
    if (site)
        __atomic_store_n(&spare, (uint32_t)(site - sites) + 1, __ATOMIC_RELEASE);
}

struct hot_site *site_claim(uint64_t address)
{
    size_t at = first_place(address);
    struct hot_site *entry = NULL, *found = NULL;
    for (unsigned i = 0; !found && i < PROBES && i < capacity; i++) {
        uint32_t *place = &places[(at + i) & (capacity - 1)];
        uint32_t held = __atomic_load_n(place, __ATOMIC_ACQUIRE);
        if (!held && !entry && !(entry = take_entry(address)))
            return NULL;
        uint32_t wanted = entry ? place_for(entry, address) : 0;
        if (!held && __atomic_compare_exchange_n(place, &held, wanted, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            link_newest(entry);
            return entry;
        }
        /* Another thread may have been first. */
        found = held_at(held, address);
    }
    give_entry_back(entry);
    return found;
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

struct hot_site *site_first(void)
{
    return numbered(__atomic_load_n(&newest, __ATOMIC_ACQUIRE));
}

struct hot_site *site_after(const struct hot_site *site)
{
    return numbered(site->next);
}

/* A jump changes less of its instruction than what is rewritten. */
static bool are_rewritten;

void sites_will_be_rewritten(void)
{
    __atomic_store_n(&are_rewritten, true, __ATOMIC_SEQ_CST);
}

uint64_t site_lowest_change(uint64_t address)
{
    uint64_t before = __atomic_load_n(&are_rewritten, __ATOMIC_ACQUIRE) ? SEGUE_INSN_BYTES - 1
                                                                        : address - pun_lowest_dependent(address);
    return address < before ? 0 : address - before;
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
    /* By an instruction that stores: to load from memory that was not used yet, and then to store to it, faults twice.
     * Of an OR with 0 the compiler makes a load first. */
    uint32_t next = 0;
    __atomic_compare_exchange_n(page, &next, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    *body = (struct hot_body){.address = address, .site = site, .cookie = cookie, .size = size, .next = next};
    __atomic_store_n(page, hot_body_number(body) + 1, __ATOMIC_RELEASE);
    return body;
}

static const struct hot_follower *follower;

void hot_follow(const struct hot_follower *with)
{
    follower = with;
}

void body_lives(const struct hot_body *body)
{
    if (follower)
        follower->lives(body);
}

/* Whoever reads the number afterwards finds threads in the body, or none that could still get there. */
void body_retire(struct hot_body *body)
{
    if (follower)
        follower->retires(body);
    __atomic_fetch_add(&retired_size, body->size, __ATOMIC_RELAXED);
    __atomic_store_n(&body->retired, __atomic_fetch_add(&retirements, 1, __ATOMIC_ACQ_REL), __ATOMIC_RELEASE);
}

uint64_t hot_retirement(void)
{
    return __atomic_load_n(&retirements, __ATOMIC_ACQUIRE);
}

uint64_t hot_retired_size(void)
{
    return __atomic_load_n(&retired_size, __ATOMIC_RELAXED);
}

/* No body is added to the table or taken out of it in between, but those in use may be retired. */
void hot_hold(uint64_t word)
{
    const struct hot_body *found = NULL;
    uint64_t offset = word - (uint64_t)(uintptr_t)bodies;
    if (bodies && offset < (uint64_t)bodies_given() * sizeof *bodies)
        found = &bodies[offset / sizeof *bodies];
    else if (chunk_find(word))
        found = hot_body_find(word);
    if (found)
        __atomic_store_n(&bodies[found - bodies].is_held, true, __ATOMIC_RELEASE);
}

void hot_hold_none(void)
{
    for (uint32_t i = 0; i < bodies_given(); i++)
        __atomic_store_n(&bodies[i].is_held, false, __ATOMIC_RELAXED);
}

uint32_t hot_frees(void)
{
    return __atomic_load_n(&frees, __ATOMIC_RELAXED);
}

void body_remove(struct hot_body *body)
{
    uint32_t number = hot_body_number(body) + 1, *link = page_of(body->address);
    __atomic_fetch_add(&removals, 1, __ATOMIC_ACQ_REL);
    while (*link && *link != number)
        link = &bodies[*link - 1].next;
    if (*link)
        __atomic_store_n(link, body->next, __ATOMIC_RELEASE);
    if (body->retired) {
        __atomic_fetch_sub(&retired_size, body->size, __ATOMIC_RELAXED);
        __atomic_fetch_add(&frees, 1, __ATOMIC_RELAXED);
    }
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
    if (!site || __atomic_load_n(&site->state, __ATOMIC_ACQUIRE) != HOT_MADE || site->is_rewritten)
        return NULL;
    return &bodies[site->body];
}
