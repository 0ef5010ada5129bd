/* site.h: accesses through fs: that are told by their bytes and by the fault alone, without decoding. Most are. */
#ifndef SEGUE_RUN_SITE_H
#define SEGUE_RUN_SITE_H

#include <segue/regs.h>

#include "tools/run/host/thread.h"

/* Whether the instruction at the frame's RIP, whose first bytes these are, is an access through fs: that made this
 * fault, and becomes the one that was meant by changing its first byte, the prefix. Of `size` bytes. Pure. */
bool site_is_plain(const ucontext_t *frame, const struct segue_fault *fault, const uint8_t *bytes, size_t size);

/* Finds the next access from `at` on, below `size`, whose bytes alone tell it: a prefix, an instruction of those that
 * compilers make for thread-local storage, and an address that is a displacement of less than a page. `size` if there
 * is none. Pure. */
size_t site_next(const uint8_t *bytes, size_t at, size_t size);

#endif
