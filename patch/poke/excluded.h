/* excluded.h: the code that the program lets nothing change. */
#ifndef SEGUE_PATCH_EXCLUDED_H
#define SEGUE_PATCH_EXCLUDED_H

#include <segue/status.h>
#include <stdbool.h>

/* The most ranges. */
#define EXCLUDED_MOST 256u

/* No code of the range is changed from now on. SEGUE_OK; SEGUE_NO_MEMORY: too many ranges. Does not undo what is
 * changed. Async-signal-safe; one caller at a time. */
enum segue_status excluded_add(uint64_t start, uint64_t size);

/* Whether the range has excluded bytes. Async-signal-safe, thread-safe, lock-free. */
bool code_is_excluded(uint64_t address, uint64_t size);

#endif
