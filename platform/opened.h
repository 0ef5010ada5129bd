/* opened.h: protected memory reached by opening its pages for a moment, where nobody else can be there to see it: in a
 * process of one thread. It is for processes that the kernel does not let open their own memory file. */
#ifndef SEGUE_SYSTEM_OPENED_H
#define SEGUE_SYSTEM_OPENED_H

#include <segue/status.h>

/* Whether the calling thread is the only one that uses this memory, threads of other processes included. Asks the
 * kernel. Async-signal-safe. */
bool opened_is_alone(void);

/* Copies between `bytes` and the memory at `address`, whatever its protection, which is the same afterwards. Signals
 * are blocked meanwhile. False when another thread uses this memory, when it cannot all be reached, when a store would
 * reach a shared mapping, or when the kernel does not tell the protection and it is not simply closed.
 * Async-signal-safe. */
bool opened_read(uint64_t address, void *bytes, size_t size);
bool opened_write(uint64_t address, const void *bytes, size_t size);

#endif
