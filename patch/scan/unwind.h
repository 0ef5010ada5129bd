/* unwind.h: the functions that a loaded module's unwind table lists. */
#ifndef SEGUE_PATCH_UNWIND_H
#define SEGUE_PATCH_UNWIND_H

#include <segue/segment.h>

/* Reads the table of the .eh_frame_hdr at `header`, of `size` bytes. Stores up to `capacity` functions, sorted, and
 * returns how many there are; 0 if the table has a form that linkers do not produce. `readable` is the range of
 * addresses that may be read: the module's. */
size_t unwind_functions(const uint8_t *header, size_t size, struct segue_extent readable,
                        struct segue_extent *functions, size_t capacity);

#endif
