/* jumps.c: plans the jumps of a call's work, and builds their bodies: from the highest address down, because a pun is
 * encoded with the bytes behind it. */
#include <string.h>

#include "plan.h"
#include "text.h"
#include "work.h"

#define USUAL_ROOM 512u
/* How often a body is built for one site: its size, and the successors that can move, are not known before. */
#define ATTEMPTS 6u

/* The steps of one plan, and the bytes from the first one on as they will be. */
static struct plan_step steps[PLAN_STEPS];
static struct hot_built built[PLAN_STEPS];
static uint8_t present[PLAN_BYTES];

/* Writes into the bytes from `address` on the jump that will be at the site. `raw` are the bytes that are there: a jump
 * that the table has, and memory has not, is one of code that was replaced since. */
static void put_in(const struct hot_site *site, uint64_t address, const uint8_t *raw, size_t size)
{
    const struct work *work = work_of(site);
    const uint8_t *jump = NULL;
    uint64_t at = site->address;
    unsigned changed = 0;
    if (work && work->is_planned) {
        jump = work->new_bytes;
        changed = work_changed(work);
    } else if (!work && site_state(site) == HOT_MADE) {
        jump = raw + (at - address);
        changed = site->changed;
    }
    for (unsigned i = 0; i < changed; i++)
        if (at + i - address < size)
            present[at + i - address] = jump[i];
}

static void put_all_in(uint64_t address, const uint8_t *raw, size_t size)
{
    struct hot_site *found[SITES_IN];
    for (size_t at = 0; at < size; at += SITES_IN) {
        unsigned count = sites_in(address + at, size - at < SITES_IN ? size - at : SITES_IN, found);
        for (unsigned i = 0; i < count; i++)
            put_in(found[i], address, raw, size);
    }
}

/* Whether the instruction may become a jump for its predecessor: of a site that is neither hot nor refused. */
static bool may_move(const struct plan_step *step, const struct hot_site *site)
{
    const struct work *work = work_of(site);
    if (work)
        return work->make && !work->is_planned && !work->has_failed;
    return (!site || (site_state(site) != HOT_MADE && site_state(site) != HOT_REFUSED)) &&
           !text_refusal(step->address, step->length + PUN_BYTES, works.any_code) &&
           !work_has_two_entries(step->address);
}

static uint32_t usual_room(void)
{
    return works.builder->usual_room ? works.builder->usual_room : USUAL_ROOM;
}

static uint32_t moved_room(void)
{
    return works.builder->moved_room ? works.builder->moved_room : usual_room();
}

static uint32_t room_for(uint64_t site)
{
    const struct hot_builder *builder = works.builder;
    uint32_t size = builder->estimate ? builder->estimate(builder->context, site) : 0;
    return size ? size : usual_room();
}

/* Returns the number of steps from the work's instruction on: 1, and one for each successor that may move. `until` is
 * the highest address of those that must. */
static unsigned make_steps(const struct work *work, uint64_t until)
{
    uint64_t start = work->place.address, at = start;
    uint8_t raw[PLAN_BYTES], original[PLAN_BYTES];
    size_t size = text_peek(start, raw, sizeof raw);
    unsigned count = 0;
    memcpy(present, raw, size);
    text_see_through(start, present, size);
    memcpy(original, present, size);
    memset(present + size, 0, sizeof present - size);
    put_all_in(start, raw, size);
    while (count < PLAN_STEPS) {
        struct plan_step *step = &steps[count];
        size_t offset = at - start;
        unsigned length = count ? work_length_at(original + offset, size - offset) : work->place.length;
        *step = (struct plan_step){.address = at, .bytes = present + offset, .length = (uint8_t)length};
        const struct hot_site *site = hot_site_find(at);
        step->size = count == 0 ? room_for(at) : work_of(site) ? usual_room() : moved_room();
        if (!length || offset + length + PUN_BYTES > size)
            break;
        step->may_move = count && may_move(step, site);
        step->must_move = step->may_move && at <= until;
        if (count && !step->may_move)
            break;
        at += length;
        count++;
    }
    return count;
}

static void drop(unsigned from, unsigned used, unsigned built_from)
{
    for (unsigned i = from; i < used; i++) {
        rooms_give_back(&steps[i].room);
        if (i >= built_from && works.builder->dropped)
            works.builder->dropped(works.builder->context, steps[i].address, built[i].cookie);
    }
}

/* Builds the bodies from the last to the first. Stores the step whose body could not be built. */
static enum segue_status build_all(unsigned used, unsigned *at)
{
    for (*at = used; (*at)-- > 0;) {
        struct plan_step *step = &steps[*at];
        enum segue_status status = works.builder->build(works.builder->context, step->address, step->room.address,
                                                        step->room.code, step->room.size, &built[*at]);
        if (status != SEGUE_OK) {
            drop(0, used, *at + 1);
            return status;
        }
        rooms_trim(&step->room, built[*at].size);
    }
    return SEGUE_OK;
}

/* A successor of which no body can be built is not asked for again. */
static void refuse_successor(unsigned at)
{
    struct hot_site *site = site_claim(steps[at].address);
    if (!site)
        return;
    struct work *work = work_of(site);
    if (work) {
        work_fail(work, SEGUE_UNSUPPORTED, built[at].refusal);
    } else {
        site->refusal = built[at].refusal;
        site->for_predecessor = true;
        site_set_state(site, HOT_REFUSED);
    }
}

/* Takes rooms and builds bodies for the work's instruction, and for the successors that move. */
static enum segue_status plan_and_build(struct work *work, uint64_t until, unsigned *used, const char **refusal)
{
    unsigned at, count = make_steps(work, until);
    *refusal = "the bytes behind it cannot be read";
    if (count == 0 || steps[count - 1].address < until)
        return SEGUE_UNSUPPORTED;
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        enum segue_status status = plan_make(steps, count, used, refusal);
        if (status != SEGUE_OK)
            return status;
        status = build_all(*used, &at);
        if (status == SEGUE_OK)
            return SEGUE_OK;
        if (status == SEGUE_NO_MEMORY && built[at].size > steps[at].size && built[at].size <= HOT_BODY_BYTES) {
            steps[at].size = built[at].size;
        } else if (at > 0 && !steps[at].must_move) {
            refuse_successor(at);
            count = at;
        } else {
            *refusal = built[at].refusal;
            return status == SEGUE_NO_MEMORY ? SEGUE_UNSUPPORTED : status;
        }
    }
    *refusal = "its body found no room that it fits into";
    return SEGUE_NO_MEMORY;
}

/* The work of a step; a new one for a successor without a request. */
static struct work *work_of_step(unsigned at)
{
    const struct plan_step *step = &steps[at];
    struct hot_site *site = site_claim(step->address);
    struct work *work = work_of(site);
    if (!site || work)
        return work;
    work = work_add(site, step->length);
    if (work) {
        work->make = true;
        work->for_predecessor = true;
        memcpy(work->old_bytes, step->bytes, PUN_BYTES);
    }
    return work;
}

static bool keep_step(unsigned at)
{
    const struct plan_step *step = &steps[at];
    struct work *work = work_of_step(at);
    struct hot_body *body = work ? body_add(step->room.address, built[at].size, step->address, built[at].cookie) : NULL;
    if (!body)
        return false;
    uint8_t *bytes = present + (step->address - steps[0].address);
    pun_encode(step->address, bytes, step->length, step->prefixes, step->room.address, work->new_bytes);
    memcpy(bytes, work->new_bytes, pun_changed(step->length, step->prefixes));
    work->prefixes = step->prefixes;
    work->tactic = step->tactic;
    work->body = hot_body_number(body);
    work->is_planned = true;
    return true;
}

static bool plan(struct work *work, uint64_t until)
{
    unsigned used;
    const char *refusal = NULL;
    enum segue_status status = plan_and_build(work, until, &used, &refusal);
    for (unsigned i = used; status == SEGUE_OK && i-- > 0;) {
        if (keep_step(i))
            continue;
        drop(0, i + 1, 0);
        status = SEGUE_NO_MEMORY;
        refusal = "the table of sites is full";
    }
    if (status != SEGUE_OK && until == work->place.address)
        work_fail(work, status, refusal);
    return status == SEGUE_OK;
}

/* The work whose instruction ends where this one begins, if it is to become a jump that reaches it. */
static struct work *predecessor_of(const struct work *work)
{
    for (unsigned length = 1; length < PUN_JUMP; length++) {
        struct work *before = work_of(hot_site_find(work->place.address - length));
        if (before && before->place.length == length && before->make && !before->is_planned && !before->has_failed)
            return before;
    }
    return NULL;
}

/* Short instructions that follow one another are planned at once: each moves its successor. */
static void plan_with_predecessors(struct work *work)
{
    struct work *chain[PLAN_STEPS] = {work};
    unsigned count = 1;
    while (count < PLAN_STEPS && (chain[count] = predecessor_of(chain[count - 1])))
        count++;
    while (count-- > 0)
        if (plan(chain[count], work->place.address))
            return;
}

void jumps_plan(void)
{
    work_sort();
    for (unsigned i = 0, count = works.count; i < count; i++) {
        struct work *work = work_ordered(i);
        if (work->make && !work->is_planned && !work->has_failed)
            plan_with_predecessors(work);
    }
    work_sort();
}
