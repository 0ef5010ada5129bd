/* unwind.h: the functions that a module's unwind table knows, read where it is mapped. */
#ifndef SEGUE_PATCH_UNWIND_H
#define SEGUE_PATCH_UNWIND_H

#include <segue/segment.h>

/* Reads the table that .eh_frame_hdr at `header`, of `size` bytes, leads to. Stores up to `capacity` functions, sorted,
 * and returns how many there are; 0 when the table is in no form that linkers make. `readable` is the range of
 * addresses that may be read: the module's. */
size_t unwind_functions(const uint8_t *header, size_t size, struct segue_extent readable,
                        struct segue_extent *functions, size_t capacity);

#endif
