/* zydis_image.h: the decoder's library in a statically linked program. Debian has it as a shared library only: its
 * segments are linked into this program (zydis_image.awk), and relocated at the first call. */
#ifndef SEGUE_RUN_ZYDIS_IMAGE_H
#define SEGUE_RUN_ZYDIS_IMAGE_H

#include <stdbool.h>

/* Relocates the library, unless that was done. The first call of one of its functions does the same; to be called
 * before a filter that forbids mprotect is in force. False if the system refuses. Async-signal-safe, thread-safe. */
bool zydis_image_prepare(void);

#endif
