/* counters.c: the handler's counters, and how they are read. */
#include "counters.h"

#include <segue/handler.h>

#include "decode/mnemonics/mnemonics.h"
#include "signals/threads/thread.h"

static struct {
    _Alignas(64) uint64_t outcomes[OUTCOME_COUNT];
} shards[THREAD_SHARDS];

static uint64_t refusals_by_mnemonic[MNEMONIC_MOST];

__attribute__((hot)) void counters_add(enum outcome outcome)
{
    __atomic_fetch_add(&shards[thread_shard()].outcomes[outcome], 1, __ATOMIC_RELAXED);
}

void counters_add_refusal(unsigned mnemonic)
{
    __atomic_fetch_add(&refusals_by_mnemonic[mnemonic], 1, __ATOMIC_RELAXED);
}

static uint64_t sum(enum outcome outcome)
{
    uint64_t total = 0;
    for (size_t i = 0; i < THREAD_SHARDS; i++)
        total += __atomic_load_n(&shards[i].outcomes[outcome], __ATOMIC_RELAXED);
    return total;
}

enum segue_status segue_counters_read(struct segue_counters *counters)
{
    if (!counters)
        return SEGUE_INVALID;
    *counters = (struct segue_counters){
        .stepped = sum(OUTCOME_STEPPED),
        .retried = sum(OUTCOME_RETRIED),
        .done = sum(OUTCOME_DONE),
        .refused = sum(OUTCOME_REFUSED),
        .passed = sum(OUTCOME_PASSED),
    };
    counters->faults = counters->stepped + counters->retried + counters->done + counters->refused + counters->passed;
    return SEGUE_OK;
}

/* Inserts `refusal` among the `held` entries, ordered by frequency; a full list drops its last entry. */
static size_t insert(struct segue_refusal *refusals, size_t held, size_t capacity, struct segue_refusal refusal)
{
    size_t at = held;
    while (at > 0 && refusals[at - 1].count < refusal.count)
        at--;
    if (at >= capacity)
        return held;
    size_t last = held < capacity ? held : capacity - 1;
    for (size_t i = last; i > at; i--)
        refusals[i] = refusals[i - 1];
    refusals[at] = refusal;
    return last + 1;
}

enum segue_status segue_refusals_read(struct segue_refusal *refusals, size_t capacity, size_t *count)
{
    size_t held = 0;
    if (!count || (!refusals && capacity))
        return SEGUE_INVALID;
    *count = 0;
    for (size_t i = 0; i < MNEMONIC_MOST; i++) {
        uint64_t times = __atomic_load_n(&refusals_by_mnemonic[i], __ATOMIC_RELAXED);
        if (!times)
            continue;
        (*count)++;
        held = insert(refusals, held, capacity, (struct segue_refusal){.mnemonic = (uint16_t)i, .count = times});
    }
    return *count > capacity ? SEGUE_TOO_SMALL : SEGUE_OK;
}
