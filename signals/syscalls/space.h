/* space.h: the program's memory as the program means it: bytes in a region are those of its window. For the copies that
 * a system call needs before and after it is made.
 *
 * All are async-signal-safe. Precondition: readers_enter, or a region that its remover waits for (calls.h). */
#ifndef SEGUE_SIGNALS_SPACE_H
#define SEGUE_SIGNALS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "signals/regions/region.h"

/* The bytes from `address` on, at most `size`, that are in one region, which is stored, or in none (NULL). */
uint64_t space_part(uint64_t address, uint64_t size, const struct region **region);

/* Copy all of it, or return false: some of it cannot be reached. */
bool space_peek(void *to, uint64_t address, size_t size);
bool space_poke(uint64_t address, const void *bytes, size_t size);

/* Whether all of it can be written. */
bool space_is_writable(uint64_t address, uint64_t size);

/* Whether a region has one of the bytes. Needs no precondition: a change that is under way may be missed. General
 * registers only, as space_part. */
bool space_has_region(uint64_t address, uint64_t size);

#endif
