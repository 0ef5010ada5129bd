/* hot.c: makes sites hot and takes them back.
 *
 * A call gathers its work: the sites that it was asked for, and the puns that read their bytes, transitively. jumps.c
 * plans, publish.c writes. */
#include "hot.h"

#include <string.h>

#include "decode/x86/instructions/jumps.h"
#include "patch/hot/space/chunks.h"
#include "patch/hot/space/rooms.h"
#include "patch/poke/poke.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/process/fork.h"
#include "platform/process/once.h"
#include "platform/threads/wait.h"
#include "text.h"
#include "work.h"

#define DEFAULT_SITES (UINT64_C(1) << 20)
#define DEFAULT_MEMORY (UINT64_C(64) << 20)
#define DEFAULT_MAPPINGS UINT64_C(8192)

/* On a page that reads as zero in a child: the holder does not exist there. */
static uint32_t *lock;

/* --- The lock; fork. --- */

/* The thread that holds the lock for a fork: other libraries' fork handlers, which run meanwhile, may undo sites, and
 * may fork. */
static const void *forking;
static unsigned forks;

static bool is_held_for_our_fork(void)
{
    return __atomic_load_n(&forks, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&forking, __ATOMIC_RELAXED) == platform_thread_self();
}

static bool lock_try(void)
{
    uint32_t *word = __atomic_load_n(&lock, __ATOMIC_ACQUIRE), expected = 0;
    if (is_held_for_our_fork())
        return true;
    if (!word || !__atomic_compare_exchange_n(word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    /* In a child that a bare system call made while another thread was at work here. */
    work_end();
    return true;
}

static void lock_release(void)
{
    if (!is_held_for_our_fork())
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static void before_fork(void)
{
    while (!lock_try())
        wait_a_moment();
    __atomic_store_n(&forking, platform_thread_self(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&forks, 1, __ATOMIC_RELEASE);
}

/* Does nothing if the hooks were registered while the fork was in progress. */
static void after_fork(void)
{
    if (forks && __atomic_sub_fetch(&forks, 1, __ATOMIC_RELEASE) == 0)
        lock_release();
}

/* Changing code takes the other lock with this one held. */
_Static_assert(FORK_CODE < FORK_HOT, "fork takes the two locks in the same order");
static const struct fork_hooks hooks = {.before = before_fork, .in_parent = after_fork, .in_child = after_fork};

/* --- Preparation. --- */

static uint64_t most_sites;

static bool prepare(void)
{
    uint32_t *page = platform_map(PAGE);
    if (!page)
        return false;
    platform_wipe_on_fork(page, PAGE);
    if (rooms_prepare() != SEGUE_OK || sites_prepare(most_sites) != SEGUE_OK) {
        platform_unmap(page, PAGE);
        return false;
    }
    text_prepare();
    mappings_keep_open();
    __atomic_store_n(&lock, page, __ATOMIC_RELEASE);
    return true;
}

enum segue_status hot_prepare(const struct hot_limits *limits)
{
    static struct once prepared;
    if (!__atomic_load_n(&lock, __ATOMIC_ACQUIRE))
        most_sites = limits->most_sites ? limits->most_sites : DEFAULT_SITES;
    if (poke_prepare() != SEGUE_OK || !once(&prepared, prepare) || !fork_register(FORK_HOT, &hooks))
        return SEGUE_NO_MEMORY;
    chunks_limit(limits->most_memory ? limits->most_memory : DEFAULT_MEMORY,
                 limits->most_mappings ? limits->most_mappings : DEFAULT_MAPPINGS);
    works.any_code = limits->flags & HOT_ANY_CODE;
    return SEGUE_OK;
}

/* --- Making. --- */

_Static_assert(HOT_BATCH <= WORKS, "each request of a call has its work");

static void refuse(struct hot_request *request, enum segue_status status, const char *refusal)
{
    request->status = status;
    request->refusal = refusal;
}

/* Whether another instruction that is changed has bytes of this one: the one with its prefixes, or without them. */
static bool is_shared(const struct work *work)
{
    uint64_t start = work->place.address, end = start + work->place.length;
    for (uint64_t at = site_lowest_change(start); at < end; at++) {
        const struct hot_site *site = hot_site_find(at);
        const struct work *other = work_of(site);
        unsigned length = other ? other->place.length : site && site_state(site) == HOT_MADE ? site->changed : 0;
        if (at != start && length && at + length > start)
            return true;
    }
    return false;
}

/* Plans another instruction in place of a jump, if the builder wants it. */
static void rewrite(struct work *work)
{
    const struct hot_builder *builder = works.builder;
    uint64_t address = work->place.address;
    unsigned length = work->place.length;
    if (!builder->rewrite ||
        !builder->rewrite(builder->context, address, work->old_bytes, length, work->new_bytes, &work->cookie) ||
        text_refusal(address, length, works.any_code) || is_shared(work))
        return;
    sites_will_be_rewritten();
    work->is_rewritten = work->is_planned = true;
}

static void gather(struct hot_request *request)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct hot_site *site = request->address ? site_claim(request->address) : NULL;
    if (!site) {
        refuse(request, SEGUE_NO_MEMORY, "the table of sites is full");
        return;
    }
    if (work_of(site) || site_is_still_hot(site)) {
        site->for_predecessor = false;
        refuse(request, SEGUE_EXISTS, NULL);
        return;
    }
    const char *refusal = text_refusal(request->address, PUN_BYTES, works.any_code);
    if (!refusal && site_state(site) == HOT_REFUSED)
        refusal = site->refusal;
    size_t size = refusal ? 0 : text_read_code(request->address, bytes, sizeof bytes);
    unsigned length = size ? work_length_at(bytes, size) : 0;
    if (!length) {
        site->refusal = refusal ? refusal : "its bytes are not known to be an instruction";
        refuse(request, SEGUE_UNSUPPORTED, site->refusal);
        return;
    }
    struct work *work = work_add(site, length);
    work->make = true;
    work->request = request;
    memcpy(work->old_bytes, bytes, sizeof work->old_bytes);
    rewrite(work);
    refuse(request, SEGUE_BUSY, NULL);
    if (!work->is_rewritten && work_has_two_entries(request->address))
        work_fail(work, SEGUE_UNSUPPORTED, "it may be entered at its LOCK prefix and behind it");
}

bool hot_alone(void (*change)(void *context), void *context)
{
    if (!lock_try())
        return false;
    change(context);
    lock_release();
    return true;
}

bool hot_reads(uint64_t start, uint64_t size)
{
    struct hot_site *found[SITES_IN];
    uint64_t from = pun_lowest_dependent(start);
    from = site_lowest_change(start) < from ? site_lowest_change(start) : from;
    for (uint64_t at = from; at < start + size; at += SITES_IN) {
        uint64_t part = start + size - at < SITES_IN ? start + size - at : SITES_IN;
        unsigned count = sites_in(at, part, found);
        for (unsigned i = 0; i < count; i++)
            if (site_state(found[i]) == HOT_MADE)
                return true;
    }
    return false;
}

static bool lacks_room;

bool hot_lacks_room(void)
{
    return __atomic_exchange_n(&lacks_room, false, __ATOMIC_RELAXED);
}

enum segue_status hot_make(struct hot_request *requests, size_t count, const struct hot_builder *with)
{
    if (count > HOT_BATCH || !with)
        return SEGUE_INVALID;
    if (!lock_try())
        return SEGUE_BUSY;
    work_begin(with);
    for (size_t i = 0; i < count; i++)
        gather(&requests[i]);
    if (work_add_dependents()) {
        jumps_plan();
        jumps_publish();
    } else {
        for (unsigned i = 0; i < works.count; i++)
            work_fail(&works.all[i], SEGUE_NO_MEMORY, "too many neighbours change with it");
    }
    /* What was hot already, or was asked for twice. */
    for (size_t i = 0; i < count; i++) {
        const struct hot_site *site = requests[i].status == SEGUE_EXISTS ? hot_site_find(requests[i].address) : NULL;
        if (site && site_state(site) != HOT_MADE)
            refuse(&requests[i], SEGUE_NO_MEMORY, site->refusal);
        if (requests[i].status == SEGUE_NO_MEMORY)
            __atomic_store_n(&lacks_room, true, __ATOMIC_RELAXED);
    }
    work_end();
    lock_release();
    return SEGUE_OK;
}

/* --- Undoing. --- */

static bool is_in(uint64_t address, uint64_t start, uint64_t size)
{
    return address - start < size;
}

/* More puns read what changes than one batch holds: undoes some that no others read. */
static enum segue_status undo_last_readers(void)
{
    work_last_readers();
    if (!work_add_dependents())
        return SEGUE_UNSUPPORTED;
    work_sort();
    return jumps_publish();
}

/* Changes what was gathered, and the puns that read it; those in the range are not made anew. */
static enum segue_status undo_gathered(uint64_t start, uint64_t size)
{
    if (!work_add_dependents())
        return undo_last_readers();
    for (unsigned i = 0; i < works.count; i++)
        works.all[i].make = works.all[i].make && !is_in(works.all[i].place.address, start, size);
    jumps_plan();
    return jumps_publish();
}

/* What is to be undone: the sites of a range; only those that were rewritten with that cookie, if it is not 0. */
struct choice {
    uint64_t start, size;
    uint64_t cookie;
};

static bool is_chosen(const struct choice *choice, const struct hot_site *site)
{
    return is_in(site->address, choice->start, choice->size) &&
           (!choice->cookie || (site->is_rewritten && site->cookie == choice->cookie));
}

/* Undoes some of those that were chosen, or of the puns that read them. Adds the number of the first to `count`;
 * nothing is left once `is_done`. */
static enum segue_status undo_some(const struct choice *choice, const struct hot_builder *with, size_t *count,
                                   bool *is_done)
{
    enum segue_status status = SEGUE_OK;
    work_begin(with);
    for (struct hot_site *site = site_first(); site && works.count < HOT_BATCH; site = site_after(site))
        if (is_chosen(choice, site) && site_is_still_hot(site))
            work_add_hot(site, false);
    *is_done = works.count == 0;
    if (!*is_done)
        status = undo_gathered(choice->start, choice->size);
    for (unsigned i = 0; i < works.count; i++)
        *count += is_chosen(choice, works.all[i].site) && site_state(works.all[i].site) == HOT_UNDONE;
    work_end();
    return status;
}

static enum segue_status undo_all(const struct choice *choice, const struct hot_builder *with, size_t *count)
{
    enum segue_status status;
    size_t all = 0;
    bool is_done;
    if (count)
        *count = 0;
    if (!lock_try())
        return __atomic_load_n(&lock, __ATOMIC_ACQUIRE) ? SEGUE_BUSY : SEGUE_OK;
    do
        status = undo_some(choice, with, &all, &is_done);
    while (!is_done && status == SEGUE_OK);
    lock_release();
    if (count)
        *count = all;
    return status;
}

enum segue_status hot_undo(uint64_t start, uint64_t size, const struct hot_builder *with, size_t *count)
{
    return undo_all(&(const struct choice){start, size, 0}, with, count);
}

enum segue_status hot_undo_rewritten(uint64_t cookie)
{
    return undo_all(&(const struct choice){0, UINT64_MAX, cookie}, NULL, NULL);
}

/* Undoes the puns before the range that read it, or some that read these. */
static enum segue_status undo_some_readers(uint64_t start, bool *is_done)
{
    enum segue_status status = SEGUE_OK;
    work_begin(NULL);
    for (uint64_t at = pun_lowest_dependent(start); at < start; at++) {
        struct hot_site *site = hot_site_find(at);
        if (site && site->length && site_is_still_hot(site) &&
            at + site->changed + pun_reach(site->length, site->prefixes) > start)
            work_add_hot(site, false);
    }
    *is_done = works.count == 0;
    if (!*is_done)
        status = undo_gathered(start, 0);
    work_end();
    return status;
}

enum segue_status hot_forget(uint64_t start, uint64_t size)
{
    enum segue_status status;
    bool is_done;
    if (!lock_try())
        return __atomic_load_n(&lock, __ATOMIC_ACQUIRE) ? SEGUE_BUSY : SEGUE_OK;
    do
        status = undo_some_readers(start, &is_done);
    while (!is_done && status == SEGUE_OK);
    for (struct hot_site *site = site_first(); site && status != SEGUE_BUSY; site = site_after(site))
        if (is_in(site->address, start, size))
            site_forget(site);
    lock_release();
    return status;
}

/* --- Bodies that are not in use any more; lists. --- */

/* Whether the code at the body's site still leads to it. */
static bool is_led_to(const struct hot_body *body)
{
    uint8_t bytes[PUN_PREFIXES + PUN_JUMP];
    size_t size = text_peek(body->site, bytes, sizeof bytes);
    for (size_t at = 0; at + PUN_JUMP <= size; at++) {
        int32_t distance;
        memcpy(&distance, bytes + at + 1, sizeof distance);
        if (bytes[at] == JUMP && body->site + at + PUN_JUMP + (uint64_t)(int64_t)distance == body->address)
            return true;
    }
    return false;
}

enum segue_status hot_collect(uint64_t before, void (*freed)(void *context, const struct hot_body *body), void *context)
{
    if (!lock_try())
        return SEGUE_BUSY;
    text_begin(NULL);
    chunks_lend();
    for (uint32_t i = 0; i < bodies_given(); i++) {
        struct hot_body *body = body_numbered(i);
        uint64_t retired = __atomic_load_n(&body->retired, __ATOMIC_ACQUIRE);
        bool is_held = __atomic_load_n(&body->is_held, __ATOMIC_ACQUIRE);
        if (!body->size || !retired || retired >= before || is_held || is_led_to(body))
            continue;
        if (freed)
            freed(context, body);
        uint64_t address = body->address, size = body->size;
        body_remove(body);
        rooms_free(address, size);
    }
    lock_release();
    return SEGUE_OK;
}

static void (*reclaimer)(void);

void hot_set_reclaimer(void (*reclaim)(void))
{
    __atomic_store_n(&reclaimer, reclaim, __ATOMIC_RELEASE);
}

void hot_reclaim(void)
{
    void (*reclaim)(void) = __atomic_load_n(&reclaimer, __ATOMIC_ACQUIRE);
    if (reclaim)
        reclaim();
}

static void (*counter)(void);

void hot_set_counter(void (*count)(void))
{
    counter = count;
}

void hot_count_accesses(void)
{
    if (counter)
        counter();
}

void hot_visit(uint64_t start, uint64_t size, bool (*visit)(void *context, const struct hot_site *site), void *context)
{
    for (struct hot_site *site = site_first(); site; site = site_after(site))
        if (is_in(site->address, start, size) && !visit(context, site))
            return;
}
