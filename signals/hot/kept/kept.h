/* kept.h: what is kept of each body: what emulate/body needs to translate a place in it, and what the body uses.
 *
 * One caller at a time, who holds the lock of patch/hot. Everything but kept_prepare is async-signal-safe. */
#ifndef SEGUE_SIGNALS_HOT_KEPT_H
#define SEGUE_SIGNALS_HOT_KEPT_H

#include <stddef.h>

#include "patch/hot/hot.h"
#include "signals/hot/slots.h"

/* A body's cookie is the address of one; its table is behind it. */
struct kept {
    struct hot_slot *slot;
    struct body_record *records;
    /* The first one's number, for counters.h; and how many there are. */
    uint32_t first_record, record_count;
    /* What was taken for it, a multiple of 16. */
    uint32_t size;
    /* How often its site's body was built anew. */
    uint32_t remakes;
    /* How often an access has missed it that another body would have made. */
    uint32_t misses;
    /* Its links (links.h): the first one, and by what others lead to it. */
    uint32_t first_link;
    uint16_t entries[BODY_ENTRIES];
    uint8_t linkage;
    uint32_t table_size;
    /* It is read by words. */
    _Alignas(8) uint8_t table[];
};
_Static_assert(offsetof(struct kept, table) % sizeof(uint64_t) == 0, "a body's table is aligned as its words");

static inline struct kept *kept_of(const struct hot_body *body)
{
    return (struct kept *)(uintptr_t)body->cookie;
}

/* False if the system has no memory. Not async-signal-safe. */
bool kept_prepare(void);
bool kept_is_prepared(void);

/* Room for a body with a table of that size; NULL if no room is left. */
struct kept *kept_take(size_t table_size);

/* No thread looks at it any more. */
void kept_give_back(struct kept *kept);

#endif
