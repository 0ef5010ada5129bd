/* displaceable_cache.h: remembers decoded instructions for displacement. The straight lines behind neighbouring
 * addresses overlap: without it each instruction is decoded once for each line that holds it. One caller at a time;
 * otherwise async-signal-safe. */
#ifndef SEGUE_DECODE_DISPLACEABLE_CACHE_H
#define SEGUE_DECODE_DISPLACEABLE_CACHE_H

#include "displaced.h"

/* A power of two. */
#define DISPLACEABLES 4096u

/* All zero bytes: empty. */
struct displaceable_cache {
    struct displaceable entries[DISPLACEABLES];
};

/* As displaceable_make: the instruction, or NULL. It is taken from the cache only if the bytes are the same. Valid
 * until the next call. */
const struct displaceable *displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch,
                                             uint64_t address, const uint8_t *bytes, size_t size);

#endif
