/* code_range.c: the ranges that were added, in a table of slots that are never freed.
 *
 * A slot ("place") is a sequence lock without a lock: its version is odd while its writer changes it. A reader that
 * finds it odd, or changed during the read, skips it. That is safe: no thread stands in a range that is being added or
 * removed. So readers copy a slot's content, and never follow a pointer to memory that another thread may free. */
#include "code_range.h"

#include <stddef.h>

#define PLACES 64u
/* The most translations in a row: a return path may lead to a range, and that range to a third. */
#define CHAIN_MOST 4u

static struct place {
    uint32_t version;
    /* Free if `translate` is NULL. */
    struct code_range range;
} places[PLACES];
/* No slot from this index on was ever used. */
static uint32_t places_used;

/* False if another thread is changing the slot, or has changed it since its version was read. */
static bool begin_change(struct place *place, uint32_t version)
{
    return version % 2 == 0 && __atomic_compare_exchange_n(&place->version, &version, version + 1, false,
                                                           __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void store(struct place *place, const struct code_range *range)
{
    __atomic_store_n(&place->range.begin, range->begin, __ATOMIC_RELAXED);
    __atomic_store_n(&place->range.end, range->end, __ATOMIC_RELAXED);
    __atomic_store_n(&place->range.translate, range->translate, __ATOMIC_RELAXED);
    __atomic_fetch_add(&place->version, 1, __ATOMIC_RELEASE);
}

/* False if the slot is free, or was changed meanwhile. */
static bool read_place(const struct place *place, struct code_range *range, uint32_t *version)
{
    *version = __atomic_load_n(&place->version, __ATOMIC_ACQUIRE);
    range->begin = __atomic_load_n(&place->range.begin, __ATOMIC_RELAXED);
    range->end = __atomic_load_n(&place->range.end, __ATOMIC_RELAXED);
    range->translate = __atomic_load_n(&place->range.translate, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return *version % 2 == 0 && __atomic_load_n(&place->version, __ATOMIC_RELAXED) == *version && range->translate;
}

static void note_used(uint32_t count)
{
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_RELAXED);
    while (used < count &&
           !__atomic_compare_exchange_n(&places_used, &used, count, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

bool code_range_add(const struct code_range *range)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t version = __atomic_load_n(&places[i].version, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&places[i].range.translate, __ATOMIC_RELAXED) || !begin_change(&places[i], version))
            continue;
        store(&places[i], range);
        note_used(i + 1);
        return true;
    }
    return false;
}

void code_range_remove(const void *begin)
{
    static const struct code_range none;
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_ACQUIRE), version;
    struct code_range present;
    for (uint32_t i = 0; i < used; i++)
        if (read_place(&places[i], &present, &version) && present.begin == begin && begin_change(&places[i], version)) {
            store(&places[i], &none);
            return;
        }
}

static enum code_range_result ask(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    bool is_everywhere = !range->begin && !range->end;
    if (!is_everywhere && !code_is_within(regs->rip, range->begin, range->end))
        return CODE_RANGE_NOT_FOUND;
    return range->translate(range, regs, frame);
}

static enum code_range_result translate_once(const struct code_range *const *list, struct segue_regs *regs,
                                             const void **frame)
{
    enum code_range_result result = CODE_RANGE_NOT_FOUND;
    for (; *list && result == CODE_RANGE_NOT_FOUND; list++)
        result = ask(*list, regs, frame);
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_ACQUIRE), version;
    for (uint32_t i = 0; i < used && result == CODE_RANGE_NOT_FOUND; i++) {
        struct code_range range;
        if (read_place(&places[i], &range, &version))
            result = ask(&range, regs, frame);
    }
    return result;
}

enum code_range_result code_range_translate(const struct code_range *const *list, struct segue_regs *regs,
                                            const void **frame)
{
    enum code_range_result last, result = CODE_RANGE_NOT_FOUND;
    for (unsigned i = 0; i < CHAIN_MOST; i++) {
        last = translate_once(list, regs, frame);
        if (last == CODE_RANGE_NOT_FOUND)
            break;
        if (result != CODE_RANGE_SHOWN || last != CODE_RANGE_REGISTERS)
            result = last;
        if (last != CODE_RANGE_REGISTERS && last != CODE_RANGE_SHOWN)
            break;
    }
    return result;
}

const char code_range_no_code[1];

enum code_range_result code_range_not_there(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)regs;
    (void)frame;
    return CODE_RANGE_NOT_FOUND;
}
