/* displaceable_cache.c: see displaceable_cache.h. */
#include "displaceable_cache.h"

#include <string.h>

#define HASH UINT64_C(0x9e3779b97f4a7c15)
#define HASH_BITS 12
_Static_assert(DISPLACEABLES == 1u << HASH_BITS, "the hash has as many bits as there are entries");

static bool is_of(const struct displaceable *entry, uint64_t address, const uint8_t *bytes, size_t size)
{
    return entry->address == address && entry->length != 0 && entry->length <= size &&
           memcmp(entry->bytes, bytes, entry->length) == 0;
}

const struct displaceable *displaceable_find(struct displaceable_cache *cache, struct decode_scratch *scratch,
                                             uint64_t address, const uint8_t *bytes, size_t size)
{
    struct displaceable *entry = &cache->entries[address * HASH >> (64 - HASH_BITS)];
    if (is_of(entry, address, bytes, size))
        return entry;
    if (displaceable_make(scratch, address, bytes, size, entry))
        return entry;
    entry->length = 0;
    return NULL;
}
