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
        /* What a search compares is in the first line of an entry's two. */
        struct displaceable_entry {
            /* The bits of form.bytes that an instruction must have to be this one: not its displacement, `from` to
             * `to`. */
            _Alignas(64) uint64_t same[2];
            struct displaceable form;
            uint8_t from, to;
            /* In the first one: the entry that was written last. */
            uint8_t last;
        } entries[DISPLACEABLE_WAYS];
    } sets[DISPLACEABLE_SETS];
};

/* The same as displaceable_make. */
bool displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch, uint64_t address,
                       const uint8_t *bytes, size_t size, struct displaceable *made);

#endif
