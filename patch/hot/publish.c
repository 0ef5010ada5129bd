/* publish.c: writes the planned jumps and restores what is undone, in one batch, which lets no thread execute a jump
 * with some of the bytes of before and some of after. */
#include <string.h>

#include "patch/poke/poke.h"
#include "platform/process/probes.h"
#include "text.h"
#include "work.h"

#define PATIENCE 64u

static struct poke_change changes[WORKS];
_Static_assert(WORKS <= POKE_BATCH, "one batch publishes all of the work");

/* What was published of a site, for the case that it is not changed after all. */
static struct published {
    uint64_t cookie;
    uint32_t body;
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t changed, prefixes, tactic, state;
    bool is_rewritten;
} published[WORKS];

/* The change of a work; false if its code stays as it is. */
static bool make_change(const struct work *work, struct poke_change *change)
{
    const struct hot_site *site = work->site;
    unsigned size = work->was_hot ? site->changed : 0;
    unsigned changed = work->is_planned ? work_changed(work) : 0;
    if (size == 0 && changed == 0)
        return false;
    *change = (struct poke_change){.address = site->address, .size = (uint8_t)(size > changed ? size : changed)};
    memcpy(change->bytes, work->old_bytes, sizeof work->old_bytes);
    memcpy(change->bytes, work->new_bytes, changed);
    if (work->is_planned && !work->is_rewritten)
        change->target = body_numbered(work->body)->address;
    return true;
}

/* Before the code: a reader takes the change out of what it reads, whether it is there yet or not. */
static void announce(const struct work *work, const struct poke_change *change, struct published *was)
{
    struct hot_site *site = work->site;
    *was = (struct published){.cookie = site->cookie,
                              .body = site->body,
                              .changed = site->changed,
                              .prefixes = site->prefixes,
                              .tactic = site->tactic,
                              .state = site_state(site),
                              .is_rewritten = site->is_rewritten};
    memcpy(was->bytes, site->new_bytes, sizeof was->bytes);
    if (!work->is_planned)
        return;
    memcpy(site->replaced_bytes, site->new_bytes, sizeof site->replaced_bytes);
    memcpy(site->old_bytes, work->old_bytes, sizeof site->old_bytes);
    memcpy(site->new_bytes, change->bytes, sizeof site->new_bytes);
    site->length = work->place.length;
    site->prefixes = work->prefixes;
    site->changed = change->size;
    site->tactic = work->tactic;
    site->body = work->body;
    site->is_rewritten = work->is_rewritten;
    site->cookie = work->cookie;
    site->for_predecessor = work->for_predecessor;
    site_set_state(site, HOT_MADE);
}

static void report(struct work *work, enum segue_status status)
{
    if (status != SEGUE_OK) {
        work_fail(work, status, status == SEGUE_BUSY ? "another thread changes code" : "its code cannot be written");
    } else if (work->is_planned) {
        work->site->refusal = NULL;
        if (work->request)
            work->request->status = SEGUE_OK;
    }
}

static void conclude(struct work *work, enum segue_status status, const struct published *was)
{
    struct hot_site *site = work->site;
    if (status != SEGUE_OK && work->is_planned) {
        memcpy(site->new_bytes, was->bytes, sizeof site->new_bytes);
        site->body = was->body;
        site->is_rewritten = was->is_rewritten;
        site->cookie = was->cookie;
        site->changed = was->changed;
        site->prefixes = was->prefixes;
        site->tactic = was->tactic;
        site_set_state(site, (enum hot_state)was->state);
        if (!work->is_rewritten)
            body_retire(body_numbered(work->body));
    }
    if (status == SEGUE_OK && work->was_hot && !was->is_rewritten)
        body_retire(body_numbered(was->body));
    if (status == SEGUE_OK && work->is_planned && !work->is_rewritten)
        body_lives(body_numbered(work->body));
    if (status == SEGUE_OK && !work->is_planned)
        site_set_state(site, HOT_UNDONE);
    if (status == SEGUE_OK && work->is_planned)
        PROBE_2(patch, site->address, work->is_rewritten ? SEGUE_PATCH_CONSTANT : SEGUE_PATCH_HOT);
    report(work, status);
}

static enum segue_status poke_all(size_t count)
{
    enum segue_status status = SEGUE_BUSY;
    /* Bytes between the changes are rewritten only where nothing else writes. */
    unsigned ways = POKE_ANY | POKE_PAGES | (works.any_code ? 0 : POKE_SPANS);
    for (unsigned i = 0; i < PATIENCE && status == SEGUE_BUSY; i++)
        status = poke_batch_peeking(changes, count, ways, works.builder ? works.builder->peek : NULL);
    for (size_t i = 0; status == SEGUE_BUSY && i < count; i++)
        changes[i].status = SEGUE_BUSY;
    return status;
}

enum segue_status jumps_publish(void)
{
    static struct work *changed[WORKS];
    size_t count = 0;
    for (unsigned i = works.count; i-- > 0;) {
        struct work *work = work_ordered(i);
        if (!make_change(work, &changes[count]))
            continue;
        if (count == 0)
            text_changes();
        announce(work, &changes[count], &published[count]);
        changed[count++] = work;
    }
    enum segue_status status = count ? poke_all(count) : SEGUE_OK;
    for (size_t i = 0; i < count; i++)
        conclude(changed[i], changes[i].status, &published[i]);
    if (count)
        text_changes();
    return status;
}
