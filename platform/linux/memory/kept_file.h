/* kept_file.h: descriptors that the library keeps open. A program that closes all its descriptors and opens others may
 * get the same number for a file of its own: so a descriptor is kept as a word, with the file's identity, and is
 * compared with it before each use. Every function is async-signal-safe and thread-safe. */
#ifndef SEGUE_PLATFORM_KEPT_FILE_H
#define SEGUE_PLATFORM_KEPT_FILE_H

#if !defined(__linux__)
#error "platform/linux/memory/kept_file.h is specific to Linux"
#endif

#include <stdint.h>

/* The inode number is in the upper bits of a word, the descriptor plus one in the lower. */
#define KEPT_FILE_BITS 20

static inline int kept_file_of(uint64_t word)
{
    return (int)(word & ((1 << KEPT_FILE_BITS) - 1)) - 1;
}

/* The word of what is open now; 0 if nothing is, or if the number is too high. */
uint64_t kept_file_word(int descriptor);

/* The same file under a high descriptor; -1 if the process has none to spare. */
int kept_file_lift(int low);

void kept_file_close(int descriptor);

#endif
