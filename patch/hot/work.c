/* work.c: see work.h. */
#include "work.h"

#include <string.h>

#include "decode/relocate/length.h"
#include "decode/scratch.h"
#include "decode/x86/instructions/jumps.h"
#include "platform/clock.h"
#include "text.h"

#define LOCK 0xf0
#define SHORT_CONDITIONAL 0x70

struct works works;
static struct decode_scratch scratch;

void work_begin(const struct hot_builder *with)
{
    works.builder = with;
    works.count = 0;
    works.time = platform_clock();
    text_begin(with ? with->peek : NULL);
}

void work_end(void)
{
    for (unsigned i = 0; i < works.count; i++)
        works.all[i].site->work = 0;
    works.count = 0;
}

struct work *work_of(const struct hot_site *site)
{
    return site && site->work ? &works.all[site->work - 1] : NULL;
}

struct work *work_add(struct hot_site *site, unsigned length)
{
    if (works.count == WORKS)
        return NULL;
    struct work *work = &works.all[works.count++];
    *work = (struct work){.site = site, .place = {site->address, (uint8_t)length, 0}};
    site->work = (uint16_t)works.count;
    return work;
}

uint8_t site_state(const struct hot_site *site)
{
    return __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);
}

void site_set_state(struct hot_site *site, enum hot_state state)
{
    __atomic_store_n(&site->time, works.time, __ATOMIC_RELAXED);
    __atomic_store_n(&site->state, (uint8_t)state, __ATOMIC_RELEASE);
}

void site_forget(struct hot_site *site)
{
    if (site_state(site) == HOT_MADE && !site->is_rewritten)
        body_retire(body_numbered(site->body));
    site_set_state(site, HOT_FORGOTTEN);
}

/* A debugger's breakpoint on an instruction that was rewritten does not take its operand back. */
static bool is_as_written(const struct hot_site *site, const uint8_t *bytes)
{
    bool may_be_breakpoint = site->is_rewritten && *bytes == TEXT_BREAKPOINT;
    return (may_be_breakpoint || *bytes == *site->new_bytes) &&
           memcmp(bytes + 1, site->new_bytes + 1, site->changed - 1u) == 0;
}

/* Of a site that is hot. */
static bool is_still_there(const struct hot_site *site)
{
    uint8_t bytes[SEGUE_INSN_BYTES + PUN_BYTES];
    /* A pun has few bytes of its own, which other code may have, too: with its successor's it leads to the body. */
    size_t jump = site->is_rewritten ? 0 : site->prefixes + PUN_JUMP,
           size = site->changed > jump ? site->changed : jump;
    return text_peek(site->address, bytes, size) == size && is_as_written(site, bytes) &&
           (!jump || pun_target(site->address, bytes, site->prefixes) == body_numbered(site->body)->address);
}

bool site_is_still_hot(struct hot_site *site)
{
    if (site_state(site) != HOT_MADE)
        return false;
    if (is_still_there(site))
        return true;
    site_forget(site);
    return false;
}

const struct hot_body *hot_body_led_to(uint64_t address)
{
    const struct hot_body *body = hot_body_of(address);
    return body && is_still_there(hot_site_find(address)) ? body : NULL;
}

unsigned work_length_at(const uint8_t *bytes, size_t size)
{
    struct outline outline;
    struct segue_insn insn;
    unsigned length = length_outline(bytes, size, &outline);
    if (length && length_is_sure(bytes, &outline))
        return length;
    return decode_in(&scratch, SEGUE_MODE_64, bytes, size, &insn) == SEGUE_OK ? insn.length : 0;
}

bool work_has_two_entries(uint64_t address)
{
    uint8_t bytes[2 + SEGUE_INSN_BYTES];
    size_t size = text_read_code(address - 2, bytes, sizeof bytes);
    struct segue_insn insn;
    if (size < 3)
        return false;
    /* A short jump to its second byte; or the byte before it, which may be another instruction's last one. */
    if (bytes[2] == LOCK)
        return bytes[1] == 1 && ((bytes[0] & 0xf0) == SHORT_CONDITIONAL || bytes[0] == JUMP_SHORT);
    return bytes[1] == LOCK && decode_in(&scratch, SEGUE_MODE_64, bytes + 1, size - 1, &insn) == SEGUE_OK;
}

struct work *work_add_hot(struct hot_site *site, bool make)
{
    struct work *work = work_add(site, site->length);
    if (!work)
        return NULL;
    work->place.prefixes = site->prefixes;
    work->was_hot = true;
    work->make = make;
    work->for_predecessor = site->for_predecessor;
    memcpy(work->old_bytes, site->old_bytes, sizeof work->old_bytes);
    return work;
}

unsigned work_changed(const struct work *work)
{
    return work->is_rewritten ? work->place.length : pun_changed(work->place.length, work->prefixes);
}

/* Whether the site is hot and its pun reads the instruction at the place, whatever of it will change. */
static bool reads(struct hot_site *site, const struct pun_place *place)
{
    if (!site || !site_is_still_hot(site))
        return false;
    const struct pun_place jump = {site->address, site->length, site->prefixes};
    const struct pun_place whole = {place->address, place->length, PUN_PREFIXES};
    return pun_depends(&jump, &whole);
}

bool work_add_dependents(void)
{
    for (unsigned i = 0; i < works.count; i++) {
        const struct pun_place *place = &works.all[i].place;
        struct hot_site *found[PUN_BYTES];
        uint64_t lowest = pun_lowest_dependent(place->address);
        unsigned count = sites_in(lowest, place->address - lowest, found);
        for (unsigned k = 0; k < count; k++)
            if (!work_of(found[k]) && reads(found[k], place) && !work_add_hot(found[k], works.builder != NULL))
                return false;
    }
    return true;
}

/* Follows the puns that read each other, from the place down. */
static struct pun_place last_reader(struct pun_place place)
{
    for (uint64_t at = pun_lowest_dependent(place.address); at < place.address; at++) {
        struct hot_site *site = hot_site_find(at);
        if (reads(site, &place)) {
            place = (struct pun_place){at, site->length, site->prefixes};
            at = pun_lowest_dependent(at) - 1;
        }
    }
    return place;
}

void work_last_readers(void)
{
    /* The last one that was added is a pun that reads others. */
    struct pun_place from = works.all[works.count - 1].place, place = last_reader(from);
    work_end();
    for (uint64_t at = place.address; at <= from.address && works.count < HOT_BATCH; at++) {
        struct hot_site *site = hot_site_find(at);
        if (site && site_is_still_hot(site))
            work_add_hot(site, false);
    }
}

void work_sort(void)
{
    for (unsigned i = 0; i < works.count; i++)
        works.order[i] = works.all[i].place;
    pun_order(works.order, works.count);
}

struct work *work_ordered(unsigned number)
{
    return work_of(hot_site_find(works.order[number].address));
}

void work_fail(struct work *work, enum segue_status status, const char *refusal)
{
    work->has_failed = true;
    work->site->refusal = refusal;
    work->site->frees = hot_frees();
    if (work->request) {
        work->request->status = status;
        work->request->refusal = refusal;
    }
    /* What cannot be done today for lack of space may be possible later. */
    if (status == SEGUE_UNSUPPORTED && !work->was_hot)
        site_set_state(work->site, HOT_REFUSED);
}
