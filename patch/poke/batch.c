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
 * A change that fails is undone in the reverse order, and so are those that depend on it. */
#include "batch.h"

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "emulated.h"
#include "order.h"
#include "platform/code.h"
#include "standing.h"
#include "writer.h"

#define BREAKPOINT 0xcc

_Static_assert(POKE_BATCH <= STANDING_MOST, "a batch's breakpoints can be announced at once");

/* The changes in ascending order of addresses: the caller's, where they are, in which order they come, and what was
 * there before. */
static struct poke_change *changes[POKE_BATCH];
static struct writer_site sites[POKE_BATCH];
static struct order_change order[POKE_BATCH];
static uint8_t old[POKE_BATCH][POKE_BYTES];
static struct standing standing[POKE_BATCH];
/* How far each has come. */
static enum stage {
    /* Nothing of it is in memory. */
    STAGE_OLD,
    /* Its breakpoint is in place. */
    STAGE_STANDS,
    /* Its tail, too. */
    STAGE_TAIL,
    STAGE_DONE,
} stages[POKE_BATCH];
static size_t count;

static void refuse(size_t i, enum segue_status status)
{
    order[i].is_refused = true;
    changes[i]->status = status;
}

static void refuse_site(struct writer_site *site)
{
    refuse((size_t)(site - sites), SEGUE_UNSUPPORTED);
}

/* Also refuses those that depend on refused ones. */
static void spread(void)
{
    order_spread(order, count);
    for (size_t i = 0; i < count; i++)
        if (order[i].is_refused && changes[i]->status == SEGUE_OK)
            changes[i]->status = SEGUE_UNSUPPORTED;
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
    for (; at > 0 && changes[at - 1]->address > change->address; at--)
        changes[at] = changes[at - 1];
    changes[at] = change;
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
    const struct poke_change *change = changes[i];
    sites[i].address = change->address;
    sites[i].size = change->size;
    stages[i] = STAGE_OLD;
    order[i] = (struct order_change){.address = change->address, .size = change->size};
    if (!writer_find(&sites[i]))
        refuse(i, SEGUE_UNSUPPORTED);
    for (unsigned k = 0; k < change->size; k++)
        __atomic_store_n(&old[i][k], sites[i].bytes[k], __ATOMIC_RELAXED);
    if (change->bytes[0] == BREAKPOINT)
        refuse(i, SEGUE_INVALID);
}

static void find_order(void)
{
    for (size_t i = 0; i < count; i++) {
        if (order[i].is_refused)
            continue;
        order[i].old_length = order_length(old[i], order[i].size);
        order[i].new_length = order_length(changes[i]->bytes, order[i].size);
    }
    order_find_overlaps(order, count);
    for (size_t i = 0; i < count; i++)
        if (order[i].overlaps)
            refuse(i, SEGUE_INVALID);
    order_find_levels(order, count);
    spread();
}

static void prepare(struct poke_change *given, size_t given_count)
{
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
    return !order[i].is_refused && stages[i] == stage;
}

static unsigned highest_level(bool is_new)
{
    unsigned highest = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned level = is_new ? order[i].new_level : order[i].old_level;
        highest = level > highest ? level : highest;
    }
    return highest;
}

/* Those that were added to what is to be written. */
static bool added[POKE_BATCH];

/* Writes what was added for changes of one stage, and moves those on that did not fail. */
static void finish_round(enum stage from, enum stage to, void (*failed)(struct writer_site *site))
{
    writer_flush(failed);
    for (size_t i = 0; i < count; i++)
        if (added[i] && is_at(i, from))
            stages[i] = to;
}

static void put_breakpoints(void)
{
    static const uint8_t breakpoint = BREAKPOINT;
    for (unsigned level = highest_level(false) + 1; level-- > 0;) {
        for (size_t i = 0; i < count; i++) {
            added[i] = is_at(i, STAGE_OLD) && order[i].old_level == level;
            if (added[i])
                writer_add(&sites[i], 0, &breakpoint, 1);
        }
        finish_round(STAGE_OLD, STAGE_STANDS, refuse_site);
        spread();
        platform_serialise();
    }
}

static void put_tails(void)
{
    for (size_t i = 0; i < count; i++) {
        added[i] = is_at(i, STAGE_STANDS);
        if (added[i] && sites[i].size > 1)
            writer_add(&sites[i], 1, changes[i]->bytes + 1, sites[i].size - 1u);
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
    return order[i].is_refused && stages[i] != STAGE_OLD && stages[i] != STAGE_DONE;
}

/* Returns whether there are any. */
static bool put_old_tails(void)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        any |= is_half_made(i);
        if (is_half_made(i) && sites[i].size > 1)
            writer_add(&sites[i], 1, old[i] + 1, sites[i].size - 1u);
    }
    writer_flush(ignore_failure);
    return any;
}

/* A breakpoint that stayed would trap every thread that reaches it, indefinitely. */
static void force_head(struct writer_site *site)
{
    if (!writer_force(site, site->bytes[0]))
        refuse_site(site);
}

static void put_old_heads(void)
{
    unsigned highest = highest_level(false);
    for (unsigned level = 0; level <= highest; level++) {
        for (size_t i = 0; i < count; i++)
            if (is_half_made(i) && order[i].old_level == level)
                writer_add(&sites[i], 0, old[i], 1);
        writer_flush(force_head);
        platform_serialise();
    }
}

static void put_heads(void)
{
    unsigned highest = highest_level(true);
    for (unsigned level = 0; level <= highest; level++) {
        for (size_t i = 0; i < count; i++) {
            added[i] = is_at(i, STAGE_TAIL) && order[i].new_level == level;
            if (added[i])
                writer_add(&sites[i], 0, changes[i]->bytes, 1);
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
    return is_at(i, STAGE_OLD) && !order[i].is_tied &&
           (sites[i].size == 1 || (sites[i].view && writer_is_in_word(&sites[i])));
}

static void make_at_once(void)
{
    for (size_t i = 0; i < count; i++) {
        added[i] = needs_no_rounds(i);
        if (added[i] && !sites[i].view)
            writer_add(&sites[i], 0, changes[i]->bytes, 1);
        else if (added[i])
            writer_store_word(&sites[i], changes[i]->bytes);
    }
    finish_round(STAGE_OLD, STAGE_DONE, refuse_site);
}

/* Once a thread has executed a new instruction, its change cannot be undone. So steps that may fail are tried first, by
 * storing bytes that are there already: the kernel may not be able to write to a second page; nor to that of a change
 * which a reader in another page depends on. */
static void try_pages(void)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t page = sites[i].address / PAGE;
        bool is_in_one_page = page == (sites[i].address + sites[i].size - 1) / PAGE;
        bool may_be_read = order[i].is_tied && i > 0 && sites[i - 1].address / PAGE != page;
        if (!is_at(i, STAGE_OLD) || sites[i].view || (is_in_one_page && !may_be_read))
            continue;
        size_t from = is_in_one_page ? 0 : 1;
        writer_add(&sites[i], from, old[i] + from, sites[i].size - from);
    }
    writer_flush(refuse_site);
    spread();
}

/* Without serialising, only words whose pages can be opened are left. */
static void make_without_rounds(void)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_at(i, STAGE_OLD))
            continue;
        if (!order[i].is_tied && writer_is_in_word(&sites[i]) && writer_store_word(&sites[i], changes[i]->bytes))
            stages[i] = STAGE_DONE;
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
            standing[announced++] = (struct standing){changes[i]->address, emulated_of(changes[i])};
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
    bool any_failed = put_old_tails();
    platform_serialise();
    if (any_failed)
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

void batch_make(struct poke_change *given, size_t given_count, unsigned ways, bool can_serialise)
{
    writer_begin(ways);
    prepare(given, given_count);
    make_at_once();
    if (any_is_left()) {
        if (can_serialise && platform_serialise()) {
            try_pages();
            make_in_rounds();
        } else {
            make_without_rounds();
        }
    }
    writer_end();
}
