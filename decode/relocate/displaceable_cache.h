/* displaceable_cache.h: remembers decoded instructions for displacement. Full decoding takes some 200 ns, and programs
 * consist of few different instructions: those that differ only in their address and in the displacement of their
 * operand or of their branch are one here. One caller at a time; otherwise async-signal-safe. */
#ifndef SEGUE_DECODE_DISPLACEABLE_CACHE_H
#define SEGUE_DECODE_DISPLACEABLE_CACHE_H

#include "displaced.h"

#define DISPLACEABLE_SETS 2048u
#define DISPLACEABLE_WAYS 2u

/* All zero bytes: empty. */
struct displaceable_cache {
    struct displaceable_set {
        struct displaceable_entry {
            struct displaceable form;
            /* The bytes that others need not have: the displacement's. */
            uint8_t from, to;
        } entries[DISPLACEABLE_WAYS];
        /* The entry that was written last. */
        unsigned last;
    } sets[DISPLACEABLE_SETS];
};

/* The same as displaceable_make. */
bool displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch, uint64_t address,
                       const uint8_t *bytes, size_t size, struct displaceable *made);

#endif
