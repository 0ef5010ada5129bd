/* guard.h: guarded accesses to memory that may be missing or protected. A fault in one of these routines is not fatal:
 * the signal handler first calls segue_recover, which resumes the thread at the routine's failure exit. Each is all or
 * nothing, except guard_copy. */
#ifndef SEGUE_EMULATE_GUARD_H
#define SEGUE_EMULATE_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "platform/abi.h"

/* One native load of 1, 2, 4 or 8 bytes into `to`; one native store of the bytes at `from`. Return 0, or not 0 if the
 * memory cannot be accessed so. */
ASSEMBLED uint64_t guard_load_1(const void *address, void *to);
ASSEMBLED uint64_t guard_load_2(const void *address, void *to);
ASSEMBLED uint64_t guard_load_4(const void *address, void *to);
ASSEMBLED uint64_t guard_load_8(const void *address, void *to);
ASSEMBLED uint64_t guard_store_1(void *address, const void *from);
ASSEMBLED uint64_t guard_store_2(void *address, const void *from);
ASSEMBLED uint64_t guard_store_4(void *address, const void *from);
ASSEMBLED uint64_t guard_store_8(void *address, const void *from);

/* Sixteen bytes at once, for fetching code. Returns as above. */
ASSEMBLED uint64_t guard_load_16(const void *address, void *to);

/* Writes the byte at `address` back to itself, atomically: returns 0 if it is writable, else not 0. */
ASSEMBLED uint64_t guard_probe_write(void *address);

/* Compare-and-exchange of 1, 2, 4, 8 or 16 bytes: if the memory holds the bytes at `from`, stores those at `to`.
 * Returns 0; GUARD_OTHER if it holds other bytes; another number if the memory cannot be accessed so. */
#define GUARD_OTHER 2u
ASSEMBLED uint64_t guard_exchange_1(void *address, const void *from, const void *to);
ASSEMBLED uint64_t guard_exchange_2(void *address, const void *from, const void *to);
ASSEMBLED uint64_t guard_exchange_4(void *address, const void *from, const void *to);
ASSEMBLED uint64_t guard_exchange_8(void *address, const void *from, const void *to);
ASSEMBLED uint64_t guard_exchange_16(void *address, const void *from, const void *to);

/* Reads the time stamp counter: returns 0 if the thread may, else not 0. */
ASSEMBLED uint64_t guard_read_time(void);

/* Copies `size` bytes, lowest first. Returns the number of bytes left at the first one that cannot be accessed: 0 for
 * success. */
ASSEMBLED uint64_t guard_copy(void *to, const void *from, size_t size);

/* The range of these routines, and their common failure exit. */
extern const char guard_begin[], guard_end[], guard_failed[];

#endif
