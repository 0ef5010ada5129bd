/* table.c: see table.h. */
#include "table.h"

#include "patch/poke/poke.h"
#include "platform/memory/readable.h"
#include "service.h"

static struct segue_patch patch_of(const struct ledger_entry *entry)
{
    return (struct segue_patch){
        .address = entry->address - entry->index,
        .changed = entry->address,
        .length = 1,
        .old_bytes = {entry->old_byte},
        .new_bytes = {entry->new_byte},
        .kind = SEGUE_PATCH_SEGMENT,
        .undone = entry->state == LEDGER_UNDONE,
        .faults = __atomic_load_n(&entry->count, __ATOMIC_RELAXED),
        .time = __atomic_load_n(&entry->time, __ATOMIC_RELAXED),
    };
}

static bool is_listed(const struct ledger_entry *entry, uint64_t start, uint64_t size)
{
    uint8_t state = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
    return (state == LEDGER_REWRITTEN || state == LEDGER_UNDONE) && entry->address - start < size;
}

void segment_table_visit(uint64_t start, uint64_t size, void (*visit)(void *context, const struct segue_patch *patch),
                         void *context)
{
    struct segment_service *present = segment_in_force();
    for (size_t i = 0; present && i < present->ledger.capacity; i++) {
        const struct ledger_entry *entry = &present->ledger.entries[i];
        if (!is_listed(entry, start, size))
            continue;
        const struct segue_patch patch = patch_of(entry);
        visit(context, &patch);
    }
}

/* A byte that other code has changed since is left alone, as is one whose code is not mapped any more. */
static bool undo_entry(struct ledger_entry *entry, size_t *count)
{
    enum segue_status status;
    uint8_t present;
    if (!readable_copy(entry->address, &present, 1) || present != entry->new_byte) {
        __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
        return true;
    }
    /* Stores the state first: a fault right after the byte has changed marks the site as rewritten again. */
    __atomic_store_n(&entry->state, LEDGER_UNDONE, __ATOMIC_RELEASE);
    while ((status = poke_byte(entry->address, entry->old_byte, POKE_ANY)) == SEGUE_BUSY)
        continue;
    if (status == SEGUE_OK)
        ++*count;
    else
        __atomic_store_n(&entry->state, LEDGER_REWRITTEN, __ATOMIC_RELEASE);
    return status == SEGUE_OK;
}

bool segment_table_undo(uint64_t start, uint64_t size, size_t *count)
{
    struct segment_service *present = segment_in_force();
    bool done = true;
    for (size_t i = 0; present && i < present->ledger.capacity; i++) {
        struct ledger_entry *entry = &present->ledger.entries[i];
        if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) == LEDGER_REWRITTEN && entry->address - start < size)
            done &= undo_entry(entry, count);
    }
    return done;
}

void segment_table_forget(uint64_t start, uint64_t size)
{
    struct segment_service *present = segment_in_force();
    for (size_t i = 0; present && i < present->ledger.capacity; i++) {
        struct ledger_entry *entry = &present->ledger.entries[i];
        if (entry->address && entry->address - start < size)
            __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
    }
}
