/* ledger.h: the patch table: which sites were rewritten. Its size is fixed; handlers write it without locks. */
#ifndef SEGUE_PATCH_LEDGER_H
#define SEGUE_PATCH_LEDGER_H

#include <segue/segment.h>

#include "decode/x86/compiler/shared_word.h"

/* The state of a site. */
enum ledger_state {
    /* Claimed; a thread is writing it. */
    LEDGER_CLAIMED,
    LEDGER_REWRITTEN,
    LEDGER_UNDONE,
    /* The memory holds other code now. */
    LEDGER_FORGOTTEN,
};

struct ledger_entry {
    /* The address of the byte that changes; 0: the slot is free. */
    shared_word address;
    shared_word time;
    uint32_t count;
    uint8_t old_byte, new_byte;
    /* enum ledger_state. */
    uint8_t state;
    /* The index of the byte in its instruction. */
    uint8_t index;
};

struct ledger {
    struct ledger_entry *entries;
    size_t capacity;
};

/* Returns SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status ledger_create(struct ledger *ledger, size_t capacity);
void ledger_destroy(struct ledger *ledger);

/* Records that the site's byte at `address` was rewritten, after `faults` faults (0 or 1). False if the table is full.
 * Async-signal-safe, thread-safe. */
bool ledger_add(struct ledger *ledger, uint64_t address, const struct segue_site *site, unsigned faults);

/* The entry of a byte; NULL if it has no entry. Async-signal-safe, thread-safe. */
struct ledger_entry *ledger_find(const struct ledger *ledger, uint64_t address);

#endif
