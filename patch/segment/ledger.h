/* ledger.h: the sites that were rewritten. Fixed in size, lock-free, written by handlers. */
#ifndef SEGUE_PATCH_LEDGER_H
#define SEGUE_PATCH_LEDGER_H

#include <segue/segment.h>

/* What has become of a site. */
enum ledger_state {
    /* Claimed; being written. */
    LEDGER_CLAIMED,
    LEDGER_REWRITTEN,
    LEDGER_UNDONE,
    /* The memory holds other code now. */
    LEDGER_FORGOTTEN,
};

struct ledger_entry {
    /* Of the byte that changes; 0: the place is free. */
    uint64_t address;
    uint64_t time;
    uint32_t count;
    uint8_t old_byte, new_byte;
    /* enum ledger_state. */
    uint8_t state;
    /* Which byte of its instruction it is. */
    uint8_t index;
};

struct ledger {
    struct ledger_entry *entries;
    size_t capacity;
};

/* Returns SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status ledger_create(struct ledger *ledger, size_t capacity);
void ledger_destroy(struct ledger *ledger);

/* Records that the site's byte, which stands at `address`, was rewritten, by `faults` faults (0 or 1). False when the
 * ledger is full. Async-signal-safe, thread-safe. */
bool ledger_add(struct ledger *ledger, uint64_t address, const struct segue_site *site, unsigned faults);

/* The entry of a byte; NULL if there is none. Async-signal-safe, thread-safe. */
struct ledger_entry *ledger_find(const struct ledger *ledger, uint64_t address);

#endif
