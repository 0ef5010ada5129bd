/* links.c: see links.h. */
#include "links.h"

#include "decode/x86/compiler/shared_word.h"
#include "patch/hot/sites.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/memory.h"

#define BLOCK 1024u
#define BLOCKS 1024u
#define BUCKETS (1u << 13)
/* The most blocks that are looked at for words. */
#define LOOKS 32u

/* Numbers of links are plus 1; 0: none. The word of a link is the one of its number in its block. */
struct link {
    uint64_t target, local;
    /* In its bucket. */
    uint32_t next, previous;
    /* The next one of its body; or that is not used. */
    uint32_t sibling;
    uint8_t entry, linkage;
};

static struct link *links;
/* By target: the first link. */
static uint32_t *buckets;
static struct block {
    shared_word *words;
    /* Links that were given back; and how many were ever taken. */
    uint32_t unused, taken;
    uint32_t unused_count;
} * blocks;
static uint32_t block_count;
/* The block of what links_take has returned last; and where words are looked for first. */
static uint32_t last, turn;

static uint32_t *bucket_of(uint64_t target)
{
    return &buckets[(target * UINT64_C(0x9e3779b97f4a7c15) >> 32) % BUCKETS];
}

static struct link *numbered(uint32_t number)
{
    return &links[number - 1];
}

static shared_word *word_of(uint32_t number)
{
    return &blocks[(number - 1) / BLOCK].words[(number - 1) % BLOCK];
}

static void lead(uint32_t number, uint64_t address)
{
    __atomic_store_n(word_of(number), address, __ATOMIC_RELEASE);
}

/* Where in the body a link leads to; 0: nowhere. */
static uint64_t entry_of(const struct hot_body *body, const struct link *link)
{
    const struct kept *kept = kept_of(body);
    uint32_t offset = kept->linkage == link->linkage ? kept->entries[link->entry] : 0;
    return offset ? body->address + offset : 0;
}

static void link_to_body(const struct hot_body *body)
{
    for (uint32_t number = *bucket_of(body->site); number; number = numbered(number)->next) {
        const struct link *link = numbered(number);
        uint64_t entry = link->target == body->site ? entry_of(body, link) : 0;
        if (entry)
            lead(number, entry);
    }
}

/* Links may lead to another body of that site already. */
static void unlink_from_body(const struct hot_body *body)
{
    for (uint32_t number = *bucket_of(body->site); number; number = numbered(number)->next) {
        const struct link *link = numbered(number);
        if (link->target == body->site && *word_of(number) == entry_of(body, link))
            lead(number, link->local);
    }
}

bool links_prepare(void)
{
    static const struct hot_follower follower = {link_to_body, unlink_from_body};
    if (!links)
        links = platform_map_apart((size_t)BLOCKS * BLOCK * sizeof *links);
    if (!buckets)
        buckets = platform_map_apart(BUCKETS * sizeof *buckets);
    if (!blocks)
        blocks = platform_map_apart(BLOCKS * sizeof *blocks);
    if (!links || !buckets || !blocks)
        return false;
    hot_follow(&follower);
    return true;
}

/* ---- words ---- */

static bool has_words(const struct block *block, uint64_t at)
{
    return block->unused_count + BLOCK - block->taken >= BODY_LINKS_MOST && rooms_reach(block->words, at);
}

/* False if no block has as many as a body may need. */
static bool find_block(uint64_t at)
{
    const char *refusal;
    void *words;
    for (uint32_t i = 0; i < LOOKS && i < block_count; i++) {
        last = (turn + i) % block_count;
        if (has_words(&blocks[last], at)) {
            turn = last;
            return true;
        }
    }
    if (block_count == BLOCKS || rooms_take_data(at, BLOCK * sizeof(uint64_t), &words, &refusal) != SEGUE_OK)
        return false;
    last = turn = block_count++;
    blocks[last].words = words;
    return true;
}

/* As links_use takes them: those that were given back first. */
uint32_t links_take(uint64_t at, uint64_t *words[BODY_LINKS_MOST])
{
    if (!find_block(at))
        return 0;
    const struct block *block = &blocks[last];
    uint32_t unused = block->unused, taken = block->taken;
    for (unsigned i = 0; i < BODY_LINKS_MOST; i++) {
        words[i] = unused ? word_of(unused) : &block->words[taken++];
        unused = unused ? numbered(unused)->sibling : 0;
    }
    return BODY_LINKS_MOST;
}

static uint32_t take_one(struct block *block)
{
    uint32_t number = block->unused;
    if (!number)
        return (uint32_t)(block - blocks) * BLOCK + ++block->taken;
    block->unused = numbered(number)->sibling;
    block->unused_count--;
    return number;
}

/* ---- links ---- */

static void insert(uint32_t number)
{
    struct link *link = numbered(number);
    uint32_t *first = bucket_of(link->target);
    link->next = *first;
    link->previous = 0;
    if (link->next)
        numbered(link->next)->previous = number;
    *first = number;
}

static void take_out(uint32_t number)
{
    const struct link *link = numbered(number);
    if (link->next)
        numbered(link->next)->previous = link->previous;
    if (link->previous)
        numbered(link->previous)->next = link->next;
    else
        *bucket_of(link->target) = link->next;
}

static void begin(uint32_t number)
{
    const struct link *link = numbered(number);
    const struct hot_body *body = hot_body_led_to(link->target);
    uint64_t entry = body ? entry_of(body, link) : 0;
    lead(number, entry ? entry : link->local);
    insert(number);
}

void links_use(struct kept *kept, uint64_t at, const struct body *built)
{
    kept->linkage = built->linkage;
    for (unsigned i = 0; i < BODY_ENTRIES; i++)
        kept->entries[i] = built->entries[i];
    for (uint32_t i = 0; i < built->link_count; i++) {
        uint32_t number = take_one(&blocks[last]);
        *numbered(number) = (struct link){.target = built->links[i].target,
                                          .local = at + built->links[i].local,
                                          .sibling = kept->first_link,
                                          .entry = built->links[i].entry,
                                          .linkage = built->linkage};
        kept->first_link = number;
        begin(number);
    }
}

uint64_t links_lead_to(const struct kept *kept, uint32_t number)
{
    uint32_t link = kept->first_link;
    for (; link && number; number--)
        link = numbered(link)->sibling;
    return link ? __atomic_load_n(word_of(link), __ATOMIC_ACQUIRE) : 0;
}

void links_give_back(struct kept *kept)
{
    while (kept->first_link) {
        uint32_t number = kept->first_link;
        struct link *link = numbered(number);
        struct block *block = &blocks[(number - 1) / BLOCK];
        kept->first_link = link->sibling;
        take_out(number);
        link->sibling = block->unused;
        block->unused = number;
        block->unused_count++;
    }
}
