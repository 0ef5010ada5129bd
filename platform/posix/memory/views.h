/* views.h: the two views of one memory, which each system without memory files by number makes in its own way. */
#ifndef SEGUE_PLATFORM_POSIX_VIEWS_H
#define SEGUE_PLATFORM_POSIX_VIEWS_H

#if defined(_WIN32)
#error "platform/posix/memory/views.h is specific to POSIX"
#endif

#include "platform/memory/memory.h"

/* Maps both views at their addresses. The second is the caller's; the first, too, if it is reserved, else nothing may
 * be mapped there. Returns 0, or a negative error number (-EEXIST). Async-signal-safe; errno stays. */
long views_map(const struct platform_views *views, uint64_t size, int access, bool is_reserved);

#endif
