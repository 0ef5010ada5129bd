/* batch.c: see batch.h.
 *
 * Announce, breakpoints, serialise, tails, serialise, heads, serialise: Linux's text_poke_bp_batch. A thread that
 * arrives meanwhile is trapped and calls poke_trap. Why a thread may execute a new instruction as soon as its
 * breakpoint is in place, while others still execute the old one:
 *
 * - The description of the changes is written before the breakpoints, so that a trapped thread finds it.
 *
 * - A change is allowed at any time, so either instruction is right at any time until the batch is done. A mixture of
 * both would be wrong, and a trapped thread executes none of the bytes.
 *
 * - Serialising guarantees that no thread executes an old instruction after the batch, as without emulation: a thread
 * that has fetched the old head executes it before it serialises.
 *
 * - A thread may execute the new instruction after a later change of the same site. A trapped thread counts as one that
 * has fetched the instruction and has yet to execute it, until its handler ends. (Linux waits for the threads that have
 * taken the description, poke_int3_handler's reference count. A handler here may have been preempted, and emulation
 * exists to avoid waiting for it.)
 *
 * Changes that an instruction of another change reads (order.h) take more rounds, each of which only repeats the
 * breakpoints or the heads, and serialises:
 *
 * - Breakpoints: first those of the old instructions that read others (the highest level first). All threads have
 * serialised on a reader's breakpoint before a byte of what it reads changes, its first included.
 *
 * - Heads: first those of the instructions that are read (the lowest level first). All threads have serialised on a
 * whole instruction before the reader's breakpoint goes.
 *
 * A change that fails is undone in the reverse order, and so are those that depend on it.
 *
 * If the kernel says that no other thread uses this memory, no thread needs the protocol: one write takes the place of
 * three, and of the serialising between them.
 *
 * With POKE_PAGES, whole pages take the place of the rounds where that is possible (replaced.h). It takes twice the
 * time, and a thread may block SIGTRAP. */
#include "batch.h"

#include <stddef.h>

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "emulated.h"
#include "order.h"
#include "patch/poke/memory/writer.h"
#include "platform/code.h"
#include "platform/memory/forced.h"
#include "platform/memory/replaced.h"
#include "platform/threads/thread.h"
#include "standing.h"

#define BREAKPOINT 0xcc

_Static_assert(POKE_BATCH <= STANDING_MOST, "a batch's breakpoints can be announced at once");

/* How far a change has come. */
enum stage {
    /* Nothing of it is in memory. */
    STAGE_OLD,
    /* Its breakpoint is in place. */
    STAGE_STANDS,
    /* Its tail, too. */
    STAGE_TAIL,
    STAGE_DONE,
};

/* The changes, in ascending order of addresses. What belongs to one lies together: a batch of one touches few pages. */
static struct item {
    struct poke_change *change;
    struct writer_site site;
    struct order_change order;
    uint8_t old[POKE_BYTES];
    enum stage stage;
    /* It was added to what is to be written. */
    bool is_added;
} items[POKE_BATCH];
static struct order_change *orders[POKE_BATCH];
static struct standing standing[POKE_BATCH];
static size_t count;
static unsigned highest_old_level, highest_new_level;
static bool any_refused;

static void refuse(size_t i, enum segue_status status)
{
    any_refused = items[i].order.is_refused = true;
    items[i].change->status = status;
}

static void refuse_site(struct writer_site *site)
{
    struct item *item = (struct item *)(void *)((char *)site - offsetof(struct item, site));
    refuse((size_t)(item - items), SEGUE_UNSUPPORTED);
}

/* Also refuses those that depend on refused ones. */
static void spread(void)
{
    if (!any_refused || count == 1)
        return;
    order_spread(orders, count);
    for (size_t i = 0; i < count; i++)
        if (items[i].order.is_refused && items[i].change->status == SEGUE_OK)
            items[i].change->status = SEGUE_UNSUPPORTED;
}

/* ---- preparation ---- */

static bool is_a_change(const struct poke_change *change)
{
    return change->size > 0 && change->size <= POKE_BYTES && change->address + change->size > change->address;
}

/* Each is put where it belongs among those before it. */
static void insert(struct poke_change *change)
{
    size_t at = count++;
    for (; at > 0 && items[at - 1].change->address > change->address; at--)
        items[at].change = items[at - 1].change;
    items[at].change = change;
}

/* Lists that are in order, or in reverse order, take one step for each change. */
static void sort(struct poke_change *given, size_t given_count)
{
    bool is_descending = given_count > 1 && given[0].address > given[given_count - 1].address;
    count = 0;
    for (size_t i = 0; i < given_count; i++) {
        struct poke_change *change = &given[is_descending ? given_count - 1 - i : i];
        change->status = is_a_change(change) ? SEGUE_OK : SEGUE_INVALID;
        if (change->status == SEGUE_OK)
            insert(change);
    }
}

static void find(size_t i)
{
    const struct poke_change *change = items[i].change;
    items[i].site.address = change->address;
    items[i].site.size = change->size;
    items[i].stage = STAGE_OLD;
    items[i].order = (struct order_change){.address = change->address, .size = change->size};
    if (!writer_find(&items[i].site))
        refuse(i, SEGUE_UNSUPPORTED);
    for (unsigned k = 0; k < change->size; k++)
        __atomic_store_n(&items[i].old[k], items[i].site.bytes[k], __ATOMIC_RELAXED);
    if (change->bytes[0] == BREAKPOINT)
        refuse(i, SEGUE_INVALID);
}

static void find_order(void)
{
    for (size_t i = 0; i < count; i++) {
        orders[i] = &items[i].order;
        if (items[i].order.is_refused)
            continue;
        items[i].order.old_length = order_length(items[i].old, items[i].order.size);
        items[i].order.new_length = order_length(items[i].change->bytes, items[i].order.size);
    }
    order_find_overlaps(orders, count);
    for (size_t i = 0; i < count; i++)
        if (items[i].order.overlaps)
            refuse(i, SEGUE_INVALID);
    order_find_levels(orders, count);
    for (size_t i = 0; i < count; i++) {
        highest_old_level = items[i].order.old_level > highest_old_level ? items[i].order.old_level : highest_old_level;
        highest_new_level = items[i].order.new_level > highest_new_level ? items[i].order.new_level : highest_new_level;
    }
    spread();
}

static void prepare(struct poke_change *given, size_t given_count)
{
    highest_old_level = highest_new_level = 0;
    any_refused = false;
    sort(given, given_count);
    for (size_t i = 0; i < count; i++)
        find(i);
    if (count > 1)
        find_order();
}

/* ---- rounds ---- */

/* Whether the change takes part, if it has come that far. */
static bool is_at(size_t i, enum stage stage)
{
    return !items[i].order.is_refused && items[i].stage == stage;
}

/* Writes what was added for changes of one stage, and moves those on that did not fail. */
static void finish_round(enum stage from, enum stage to, void (*failed)(struct writer_site *site))
{
    writer_flush(failed);
    for (size_t i = 0; i < count; i++)
        if (items[i].is_added && is_at(i, from))
            items[i].stage = to;
}

static void put_breakpoints(void)
{
    static const uint8_t breakpoint = BREAKPOINT;
    for (unsigned level = highest_old_level + 1; level-- > 0;) {
        for (size_t i = 0; i < count; i++) {
            items[i].is_added = is_at(i, STAGE_OLD) && items[i].order.old_level == level;
            if (items[i].is_added)
                writer_add(&items[i].site, 0, &breakpoint, 1);
        }
        finish_round(STAGE_OLD, STAGE_STANDS, refuse_site);
        spread();
        platform_serialise();
    }
}

static void put_tails(void)
{
    for (size_t i = 0; i < count; i++) {
        items[i].is_added = is_at(i, STAGE_STANDS);
        if (items[i].is_added && items[i].site.size > 1)
            writer_add(&items[i].site, 1, items[i].change->bytes + 1, items[i].site.size - 1u);
    }
    finish_round(STAGE_STANDS, STAGE_TAIL, refuse_site);
    spread();
}

static void ignore_failure(struct writer_site *site)
{
    (void)site;
}

static bool is_half_made(size_t i)
{
    return items[i].order.is_refused && items[i].stage != STAGE_OLD && items[i].stage != STAGE_DONE;
}

static void put_old_tails(void)
{
    for (size_t i = 0; i < count; i++)
        if (is_half_made(i) && items[i].site.size > 1)
            writer_add(&items[i].site, 1, items[i].old + 1, items[i].site.size - 1u);
    writer_flush(ignore_failure);
}

/* A breakpoint that stayed would trap every thread that reaches it, indefinitely. */
static void force_head(struct writer_site *site)
{
    if (!writer_force(site, site->bytes[0]))
        refuse_site(site);
}

static void put_old_heads(void)
{
    for (unsigned level = 0; level <= highest_old_level; level++) {
        for (size_t i = 0; i < count; i++)
            if (is_half_made(i) && items[i].order.old_level == level)
                writer_add(&items[i].site, 0, items[i].old, 1);
        writer_flush(force_head);
        platform_serialise();
    }
}

static void put_heads(void)
{
    for (unsigned level = 0; level <= highest_new_level; level++) {
        for (size_t i = 0; i < count; i++) {
            items[i].is_added = is_at(i, STAGE_TAIL) && items[i].order.new_level == level;
            if (items[i].is_added)
                writer_add(&items[i].site, 0, items[i].change->bytes, 1);
        }
        finish_round(STAGE_TAIL, STAGE_DONE, force_head);
        platform_serialise();
    }
}

/* ---- before the first breakpoint ---- */

/* A change that needs no breakpoint: one byte, or one store to an aligned word. One that reads another or is read keeps
 * to the rounds. */
static bool needs_no_rounds(size_t i)
{
    return is_at(i, STAGE_OLD) && !items[i].order.is_tied &&
           (items[i].site.size == 1 || (items[i].site.view && writer_is_in_word(&items[i].site)));
}

static void make_at_once(void)
{
    for (size_t i = 0; i < count; i++) {
        items[i].is_added = needs_no_rounds(i);
        if (items[i].is_added && !items[i].site.view)
            writer_add(&items[i].site, 0, items[i].change->bytes, 1);
        else if (items[i].is_added)
            writer_store_word(&items[i].site, items[i].change->bytes);
    }
    finish_round(STAGE_OLD, STAGE_DONE, refuse_site);
}

/* Once a thread has executed a new instruction, its change cannot be undone. So steps that may fail are tried first, by
 * storing bytes that are there already: the kernel may not be able to write to a second page; nor to that of a change
 * which a reader in another page depends on. */
static void try_pages(void)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t page = items[i].site.address / PAGE;
        bool is_in_one_page = page == (items[i].site.address + items[i].site.size - 1) / PAGE;
        bool may_be_read = items[i].order.is_tied && i > 0 && items[i - 1].site.address / PAGE != page;
        if (!is_at(i, STAGE_OLD) || items[i].site.view || (is_in_one_page && !may_be_read))
            continue;
        size_t from = is_in_one_page ? 0 : 1;
        writer_add(&items[i].site, from, items[i].old + from, items[i].site.size - from);
    }
    writer_flush(refuse_site);
    spread();
}

/* Where no other thread can execute them, changes need no breakpoints: all bytes are written at once. With signals
 * blocked, this thread makes no other one meanwhile; one that is made later begins behind a return from the kernel. */
static void make_alone(void)
{
    for (size_t i = 0; i < count; i++) {
        items[i].is_added = is_at(i, STAGE_OLD);
        if (items[i].is_added)
            writer_add(&items[i].site, 0, items[i].change->bytes, items[i].site.size);
    }
    finish_round(STAGE_OLD, STAGE_DONE, refuse_site);
    spread();
    for (size_t i = 0; any_refused && i < count; i++)
        if (items[i].is_added && items[i].order.is_refused)
            writer_add(&items[i].site, 0, items[i].old, items[i].site.size);
    writer_flush(ignore_failure);
    platform_serialise_self();
}

/* ---- whole pages ---- */

/* The most pages that are replaced at once: a change may lie in two, and those that it is tied to in the next ones. */
#define PAGES_MOST 4u

static uint8_t pages[PAGES_MOST * PAGE];

static uint64_t page_of(uint64_t address)
{
    return address / PAGE * PAGE;
}

/* The page behind the last one that the change is in. */
static uint64_t pages_end(size_t i)
{
    return page_of(items[i].site.address + items[i].site.size - 1) + PAGE;
}

/* The end of the changes from that one on which come into force together: they share pages, or one reads another. */
static size_t end_of_pages(size_t from)
{
    size_t to = from + 1;
    for (uint64_t end = pages_end(from); to < count; end = pages_end(to++)) {
        uint64_t gap = items[to].site.address - items[to - 1].site.address;
        bool may_be_read = items[to].order.is_tied && items[to - 1].order.is_tied && gap < 2 * POKE_BYTES;
        if (items[to].site.address >= end && !may_be_read)
            break;
    }
    return to;
}

static bool may_be_replaced(size_t from, size_t to)
{
    bool any = false;
    for (size_t i = from; i < to; i++) {
        if (is_at(i, STAGE_OLD) && items[i].site.view)
            return false;
        any |= is_at(i, STAGE_OLD);
    }
    return any && pages_end(to - 1) - page_of(items[from].site.address) <= sizeof pages;
}

static bool replace(size_t from, size_t to)
{
    uint64_t start = page_of(items[from].site.address), size = pages_end(to - 1) - start;
    writer_span_begin();
    bool done = forced_read(start, pages, size);
    for (size_t i = from; done && i < to; i++)
        for (unsigned k = 0; is_at(i, STAGE_OLD) && k < items[i].site.size; k++)
            __atomic_store_n(&pages[items[i].site.address - start + k], items[i].change->bytes[k], __ATOMIC_RELAXED);
    done = done && code_pages_replace(start, size, pages);
    writer_span_end();
    return done;
}

/* No breakpoint is needed where the pages as a whole can become others: a thread that blocks SIGTRAP would die of it.
 * What cannot be replaced is left to the rounds. */
static void make_in_pages(void)
{
    for (size_t from = 0, to; from < count; from = to) {
        to = end_of_pages(from);
        if (!may_be_replaced(from, to) || !replace(from, to))
            continue;
        for (size_t i = from; i < to; i++)
            if (is_at(i, STAGE_OLD))
                items[i].stage = STAGE_DONE;
    }
    platform_serialise();
}

/* ---- with breakpoints ---- */

/* Without serialising, only words whose pages can be opened are left. */
static void make_without_rounds(void)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_at(i, STAGE_OLD))
            continue;
        if (!items[i].order.is_tied && writer_is_in_word(&items[i].site) &&
            writer_store_word(&items[i].site, items[i].change->bytes))
            items[i].stage = STAGE_DONE;
        else
            refuse(i, SEGUE_UNSUPPORTED);
    }
}

static struct emulated emulated_of(const struct poke_change *change)
{
    if (change->target && change->target < canonical_user_end())
        return (struct emulated){.kind = EMULATED_JUMP, .target = change->target};
    return emulated_find(change->address, change->bytes, change->size);
}

/* Returns whether there are any. */
static bool announce(void)
{
    size_t announced = 0;
    for (size_t i = 0; i < count; i++)
        if (is_at(i, STAGE_OLD))
            standing[announced++] = (struct standing){items[i].change->address, emulated_of(items[i].change)};
    if (announced > 0)
        standing_announce(standing, announced);
    return announced > 0;
}

static void make_in_rounds(void)
{
    if (!announce())
        return;
    put_breakpoints();
    put_tails();
    if (any_refused)
        put_old_tails();
    platform_serialise();
    if (any_refused)
        put_old_heads();
    put_heads();
    standing_withdraw();
}

static bool any_is_left(void)
{
    for (size_t i = 0; i < count; i++)
        if (is_at(i, STAGE_OLD))
            return true;
    return false;
}

void batch_make(struct poke_change *given, size_t given_count, unsigned ways, bool can_serialise, poke_peek *peek)
{
    bool is_alone = can_serialise && platform_thread_is_alone();
    writer_begin(given_count, ways, is_alone, peek);
    prepare(given, given_count);
    make_at_once();
    if (any_is_left()) {
        if (is_alone) {
            make_alone();
        } else if (can_serialise && platform_serialise()) {
            if (ways & POKE_PAGES)
                make_in_pages();
            try_pages();
            make_in_rounds();
        } else {
            make_without_rounds();
        }
    }
    writer_end();
}
