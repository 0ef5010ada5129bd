/* views.h: memory that is mapped twice. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_VIEWS_H
#define SEGUE_EMULATE_VIEWS_H

#include <segue/status.h>

/* Closed addresses on each side of a view. */
#define VIEWS_GUARD UINT64_C(65536)

struct views {
    uint64_t first, second;
};

/* Makes two views of `size` bytes, whole pages, of zeroed memory. The first has `protection`, and never had another;
 * the second can be read and written. They stand apart at a
 * random distance, below 2 GiB where the size lets them, with closed addresses around each; around the first only if
 * `at` is 0, else it stands there. `file`, if not negative, is the memory; else the kernel gives some that no limit on
 * files and no file system's rights concern. Returns 0, or a negative error number, and nothing is left mapped.
 * Async-signal-safe, thread-safe. */
long views_create(uint64_t at, uint64_t size, int protection, int file, struct views *views);

/* Unmaps one view and, if it has some, the closed addresses around it. Async-signal-safe. */
void views_unmap(uint64_t view, uint64_t size, bool guarded);

/* madvise for a view and the closed addresses around it. Async-signal-safe. */
bool views_advise(uint64_t view, uint64_t size, int advice);

#endif
