/* site.h: recognises accesses through fs: by their bytes and the fault alone, without decoding. Most accesses are of
 * this kind. */
#ifndef SEGUE_RUN_SITE_H
#define SEGUE_RUN_SITE_H

#include <segue/regs.h>

#include "tools/run/host/thread.h"

/* Whether the instruction at the frame's RIP, whose first `size` bytes are `bytes`, is an access through fs: that
 * raised this fault, and that changing its first byte, the prefix, makes right. Pure. */
bool site_is_plain(const ucontext_t *frame, const struct segue_fault *fault, const uint8_t *bytes, size_t size);

/* Finds the next access from `at` on, below `size`, that its bytes alone identify: a prefix, an instruction that
 * compilers use for thread-local storage, and an address that is a displacement of less than a page. Returns `size`
 * without one. Pure. */
size_t site_next(const uint8_t *bytes, size_t at, size_t size);

#endif
