/* unwind.h: shows code that is made at run time to the process's unwinders and to debuggers.
 *
 * No unwinder is asked to register anything: that would take its locks, in handlers too, and has one that unwinds in a
 * handler wait for the thread that it has interrupted. Instead the functions by which unwinders find a loaded module
 * are replaced for them: they find the code as if it were one. */
#ifndef SEGUE_PLATFORM_UNWIND_H
#define SEGUE_PLATFORM_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

/* Has the unwinders that are loaded see what is shown; those of libraries that are loaded later are found by another
 * call. Not async-signal-safe; thread-safe. */
void platform_unwind_prepare(void);

/* Shows `size` bytes of code at `start`. `image` is memory that stays as it is, aligned to 8, within 2 GiB of the code:
 * UNWIND_HEAD bytes for this function, and then a section in the format of .eh_frame of `section` bytes, whose only
 * description, at the offset `description`, is of that code. One caller at a time. Async-signal-safe. */
#define UNWIND_HEAD 1024u
void platform_unwind_show(uint64_t start, uint64_t size, void *image, uint32_t section, uint32_t description);

#endif
