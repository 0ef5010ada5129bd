/* ledger.c: the patch table as an open hash table. Sites of the same kilobyte of code are close together in it, so that
 * memory is used only for code that has sites. */
#include "ledger.h"

#include "platform/clock.h"
#include "platform/memory/memory.h"

/* The most slots probed for one address. */
#define PROBES 4096u
#define BLOCK_BITS 10

enum segue_status ledger_create(struct ledger *ledger, size_t capacity)
{
    if (capacity > SIZE_MAX / 4 / sizeof *ledger->entries)
        return SEGUE_NO_MEMORY;
    /* Spare room keeps searches short. */
    ledger->capacity = 64;
    while (ledger->capacity < 2 * capacity)
        ledger->capacity *= 2;
    ledger->entries = platform_map(ledger->capacity * sizeof *ledger->entries);
    return ledger->entries ? SEGUE_OK : SEGUE_NO_MEMORY;
}

void ledger_destroy(struct ledger *ledger)
{
    if (ledger->entries)
        platform_unmap(ledger->entries, ledger->capacity * sizeof *ledger->entries);
    *ledger = (struct ledger){0};
}

static size_t first_place(const struct ledger *ledger, uint64_t address)
{
    uint64_t block = (address >> BLOCK_BITS) * 0x9e3779b97f4a7c15u >> 20;
    /* An instruction with a prefix and a memory operand has at least three bytes. */
    uint64_t within = (address & ((1u << BLOCK_BITS) - 1)) / 4;
    return (block * 64 + within) & (ledger->capacity - 1);
}

struct ledger_entry *ledger_find(const struct ledger *ledger, uint64_t address)
{
    size_t at = first_place(ledger, address);
    for (unsigned i = 0; i < PROBES && i < ledger->capacity; i++) {
        struct ledger_entry *entry = &ledger->entries[(at + i) & (ledger->capacity - 1)];
        uint64_t held = __atomic_load_n(&entry->address, __ATOMIC_ACQUIRE);
        if (held == address)
            return entry;
        if (!held)
            return NULL;
    }
    return NULL;
}

/* Finds the entry, or claims a slot for it. */
static struct ledger_entry *claim(struct ledger *ledger, uint64_t address)
{
    size_t at = first_place(ledger, address);
    for (unsigned i = 0; i < PROBES && i < ledger->capacity; i++) {
        struct ledger_entry *entry = &ledger->entries[(at + i) & (ledger->capacity - 1)];
        uint64_t held = __atomic_load_n(&entry->address, __ATOMIC_ACQUIRE);
        if (!held &&
            __atomic_compare_exchange_n(&entry->address, &held, address, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return entry;
        if (held == address)
            return entry;
    }
    return NULL;
}

bool ledger_add(struct ledger *ledger, uint64_t address, const struct segue_site *site, unsigned faults)
{
    struct ledger_entry *entry = claim(ledger, address);
    if (!entry)
        return false;
    __atomic_fetch_add(&entry->count, faults, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->time, platform_clock(), __ATOMIC_RELAXED);
    /* Two threads that rewrite one site store the same values. */
    __atomic_store_n(&entry->old_byte, site->old_byte, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->new_byte, site->new_byte, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->index, site->index, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->state, LEDGER_REWRITTEN, __ATOMIC_RELEASE);
    return true;
}
