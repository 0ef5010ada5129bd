/* opened.h: accesses protected memory by making its pages accessible for a moment, where no other thread can see it:
 * in a process of one thread. It is for processes that the kernel forbids to open their own memory file. */
#ifndef SEGUE_PLATFORM_OPENED_H
#define SEGUE_PLATFORM_OPENED_H

#if !defined(__linux__)
#error "platform/linux/memory/opened.h is specific to Linux"
#endif

#include <segue/status.h>

/* Copies between `bytes` and the memory at `address`, whatever its protection, which is the same afterwards. Signals
 * are blocked meanwhile. False if another thread uses this memory, if any of it cannot be reached, if a store would
 * reach a shared mapping, or if the kernel does not report the protection and the page is not PROT_NONE.
 * Async-signal-safe. */
bool opened_read(uint64_t address, void *bytes, size_t size);
bool opened_write(uint64_t address, const void *bytes, size_t size);

#endif
