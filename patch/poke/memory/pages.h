/* pages.h: pages of code that are made writable for a while. With the lock of code held (lock.h). Async-signal-safe. */
#ifndef SEGUE_PATCH_PAGES_H
#define SEGUE_PATCH_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most pages at once: two for each change of a batch. */
#define PAGES_MOST 512u

/* Makes the one or two pages that contain the bytes writable, until pages_close. False if that is not possible. */
bool pages_open(uint64_t address, size_t size);

/* Gives all of them their previous protection, which was read from the kernel. */
void pages_close(void);

#endif
