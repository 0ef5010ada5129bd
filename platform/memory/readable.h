/* readable.h: memory that the program may have unmapped or protected meanwhile. */
#ifndef SEGUE_PLATFORM_READABLE_H
#define SEGUE_PLATFORM_READABLE_H

#include "forced.h"
#include "memory.h"

/* Copies `size` bytes from `address`, both arbitrary, without a fault. False if any of them cannot be read.
 * Async-signal-safe, thread-safe. */
static inline bool readable_copy(uint64_t address, void *bytes, size_t size)
{
    enum platform_look look = platform_look_at(address, bytes, size);
    return look == PLATFORM_THERE || (look == PLATFORM_NOT_KNOWN && forced_read(address, bytes, size));
}

#endif
