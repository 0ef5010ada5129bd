/* words.c: walks over the aligned words that a step touches, each once, lowest first. Each iteration searches all
 * accesses for the lowest next word. So overlapping accesses merge without extra memory, and strings are walked as
 * ranges. */
#include "words.h"

#include <stddef.h>

#include "emulate/details.h"
#include "pieces.h"

/* The private words of segue_words. */
struct __attribute__((may_alias)) walk {
    const struct segue_plan *plan;
    /* The next word, and whether there may be one. */
    uint64_t next;
    words_span *span;
    const void *context;
    /* The last address of the current span of the caller's range. */
    uint64_t last;
    uint32_t access;
    uint16_t word;
    bool is_over;
};
_Static_assert(sizeof(struct walk) <= sizeof(((struct segue_words *)0)->private_), "the public header has room for it");

static struct walk *walk_of(struct segue_words *words)
{
    return (struct walk *)(void *)words->private_;
}

static bool is_walked(const struct walk *walk, uint32_t number)
{
    const struct segue_access *access = &walk->plan->accesses[number];
    return (walk->access == WORDS_ALL ? !(access->flags & SEGUE_ACCESS_PROBE) : walk->access == number) && access->size;
}

static uint64_t word_at(const struct walk *walk, uint64_t address)
{
    return address & ~(uint64_t)(walk->word - 1);
}

/* The lowest word, not below `from`, that an access touches; false if no such word exists. */
static bool lowest_from(const struct walk *walk, uint64_t from, uint64_t *lowest)
{
    bool found = false;
    for (uint32_t i = 0; i < walk->plan->access_count; i++) {
        uint64_t start, size;
        pieces_part(walk->plan, i, &start, &size);
        if (!is_walked(walk, i) || size == 0 || start + size - 1 < from)
            continue;
        uint64_t word = word_at(walk, start > from ? start : from);
        if (!found || word < *lowest)
            *lowest = word;
        found = true;
    }
    return found;
}

static uint8_t directions_of(const struct walk *walk, uint64_t word)
{
    uint8_t direction = 0;
    for (uint32_t i = 0; i < walk->plan->access_count; i++) {
        uint64_t start, size;
        pieces_part(walk->plan, i, &start, &size);
        if (is_walked(walk, i) && size && start <= word + walk->word - 1 && start + size - 1 >= word)
            direction |= walk->plan->accesses[i].direction;
    }
    return direction;
}

/* Windows begin and end at page boundaries, so a word lies in one window. */
static void *host_of(const struct walk *walk, uint64_t word)
{
    for (uint32_t i = 0; i < details_of(walk->plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(walk->plan)->pieces[i];
        if (piece->address <= word + walk->word - 1 && piece->address + piece->size - 1 >= word)
            return piece_is_native(piece) ? (void *)((uintptr_t)piece->host + (uintptr_t)(word - piece->address))
                                          : NULL;
    }
    return NULL;
}

struct segue_words words_walk(const struct segue_plan *plan, uint32_t access, words_span *span, const void *context)
{
    struct segue_words words = {.address = 0};
    *walk_of(&words) = (struct walk){.plan = plan,
                                     .span = span,
                                     .context = context,
                                     .access = access,
                                     .last = UINT64_MAX,
                                     .word = plan->insn.mode == SEGUE_MODE_32 ? 4 : 8};
    return words;
}

bool segue_words_next(struct segue_words *words)
{
    struct walk *walk = words ? walk_of(words) : NULL;
    if (!walk || !walk->plan || walk->is_over)
        return false;
    for (uint64_t word = 0, from = walk->next, last; lowest_from(walk, from, &word);) {
        uint64_t wanted = word;
        if (word > walk->last)
            break;
        if (!walk->span(walk->context, &wanted, &last))
            break;
        /* Only a part of the access is wanted: continue where that part begins. */
        if (wanted > word + walk->word - 1) {
            from = wanted;
            continue;
        }
        words->address = word;
        words->direction = directions_of(walk, word);
        words->at = host_of(walk, word);
        walk->next = word + walk->word;
        walk->is_over = walk->next == 0;
        return true;
    }
    walk->is_over = true;
    return false;
}

/* ---- one range ------------------------------------------------------------------------------------------------ */

/* The range is stored in the walk itself, which may be copied. So its address cannot be kept, and `context` is its
 * base. */
static bool span_of_range(const void *context, uint64_t *from, uint64_t *last)
{
    uint64_t base = (uint64_t)(uintptr_t)context;
    *from = *from > base ? *from : base;
    *last = UINT64_MAX;
    return true;
}

struct segue_words words_walk_range(const struct segue_plan *plan, uint32_t access, uint64_t base, uint64_t size)
{
    struct segue_words words = words_walk(plan, access, span_of_range, (const void *)(uintptr_t)base);
    walk_of(&words)->last = base + size - 1;
    walk_of(&words)->is_over = size == 0;
    return words;
}

struct segue_words segue_plan_words(const struct segue_plan *plan, uint64_t base, uint64_t size)
{
    return plan ? words_walk_range(plan, WORDS_ALL, base, size) : (struct segue_words){.address = 0};
}

bool segue_plan_within(const struct segue_plan *plan, uint64_t base, uint64_t size)
{
    for (uint32_t i = 0; plan && i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        if (access->size &&
            (access->address < base || access->size > size || access->address - base > size - access->size))
            return false;
    }
    return plan != NULL;
}
