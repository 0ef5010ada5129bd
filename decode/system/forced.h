/* forced.h: memory reached past its protection, through the kernel. */
#ifndef SEGUE_SYSTEM_FORCED_H
#define SEGUE_SYSTEM_FORCED_H

#include <segue/status.h>

/* Makes forced accesses possible in this process, and proves it on a page of its own. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED when this kernel does not let a process past its own protection; SEGUE_NO_MEMORY. Not
 * async-signal-safe; thread-safe. */
enum segue_status forced_prepare(void);

/* Copies between `bytes` and the memory at `address`, whatever its protection. False when it cannot all be reached, or
 * before forced_prepare. Async-signal-safe, thread-safe; right in a child made by fork, and when the program has closed
 * the descriptor. */
bool forced_read(uint64_t address, void *bytes, size_t size);
bool forced_write(uint64_t address, const void *bytes, size_t size);

#endif
