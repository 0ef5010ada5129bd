/* follow.c: see follow.h. */
#include "follow.h"

#include "space.h"

struct followed {
    struct followed *next;
    /* Of the mapping that it begins. */
    size_t mapped;
    uint64_t address, size;
    uint8_t direction, unit;
    bool is_element;
    /* Behind it: the bytes before, and room for those after. NULL: none are kept. */
    char *before, *after;
};

static const struct call_follower *follower;

void follow_calls(const struct call_follower *by)
{
    __atomic_store_n(&follower, by, __ATOMIC_RELEASE);
}

void follow_begin(struct followed **list, const struct call_access *access)
{
    const struct call_follower *by = __atomic_load_n(&follower, __ATOMIC_ACQUIRE);
    if (!by || !by->wants(access->address, access->size, access->direction, segue_thread_self()))
        return;
    size_t kept = access->size <= FOLLOW_BYTES ? access->size : 0;
    struct followed *followed = calls_map(sizeof *followed + 2 * kept), **end = list;
    if (!followed)
        return;
    *followed = (struct followed){.mapped = sizeof *followed + 2 * kept,
                                  .address = access->address,
                                  .size = access->size,
                                  .direction = access->direction,
                                  .unit = access->unit,
                                  .is_element = access->is_element};
    char *bytes = (char *)(followed + 1);
    if (kept && space_peek(bytes, access->address, kept)) {
        followed->before = bytes;
        followed->after = bytes + kept;
    }
    while (*end)
        end = &(*end)->next;
    *end = followed;
}

void follow_release(struct followed *list)
{
    while (list) {
        struct followed *next = list->next;
        calls_unmap(list, list->mapped);
        list = next;
    }
}

/* What the call's result says of how much was written; `left`: what elements before have not taken. */
static uint64_t written(const struct followed *followed, long result, uint64_t *left)
{
    uint64_t size = result > 0 ? (uint64_t)result * followed->unit : 0;
    if (followed->is_element) {
        size = *left < followed->size ? *left : followed->size;
        *left -= size;
    }
    return size < followed->size ? size : followed->size;
}

void follow_end(struct followed *list, const struct call_record *record, const struct segue_regs *regs)
{
    long result = (long)record->result;
    uint64_t left = result > 0 ? (uint64_t)result : 0;
    for (struct followed *at = list; at; at = at->next) {
        uint64_t size = at->unit ? written(at, result, &left) : at->size;
        bool has_bytes = at->before && space_peek(at->after, at->address, size);
        const struct call_done done = {
            .address = at->address,
            .size = size,
            .direction = at->direction,
            .system_call = (int32_t)record->number,
            .site = record->target - 2,
            .thread = segue_thread_self(),
            .result = result,
            .before = has_bytes ? at->before : NULL,
            .after = has_bytes ? at->after : NULL,
            .regs = regs,
        };
        if (size)
            follower->done(&done);
    }
    follow_release(list);
}
