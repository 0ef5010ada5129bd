/* shared_file.h: memory as a file without a name. */
#ifndef SEGUE_PLATFORM_SHARED_FILE_H
#define SEGUE_PLATFORM_SHARED_FILE_H

#if !defined(__linux__)
#error "platform/linux/memory/shared/shared_file.h is specific to Linux"
#endif

#include <stdbool.h>
#include <stdint.h>

/* Makes a file of that many zero bytes, which takes memory only where it is written. `name` is for /proc. Returns its
 * descriptor, which exec closes, or a negative error number: -EFBIG if the hard limit on a file's length is lower.
 * Async-signal-safe. */
long shared_file_make(const char *name, uint64_t size, bool executable);

/* Copies the pages that exist of a file of `size` bytes to another one, in which no page exists: the kernel does it,
 * without a mapping. False if it cannot. Not async-signal-safe. */
bool shared_file_copy(int from, int to, uint64_t size);

#endif
