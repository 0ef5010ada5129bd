/* zydis_image.h: the decoder's library in a program that is linked statically. Debian has it as a shared library only:
 * its segments are a part of this program (zydis_image.awk), and are made ready at the first call. */
#ifndef SEGUE_RUN_ZYDIS_IMAGE_H
#define SEGUE_RUN_ZYDIS_IMAGE_H

#include <stdbool.h>

/* Makes it ready, unless it is. The first call of one of its functions does the same; to be called before a filter that
 * forbids mprotect is in force. False if the system does not let it. Async-signal-safe, thread-safe. */
bool zydis_image_prepare(void);

#endif
