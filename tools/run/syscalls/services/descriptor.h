/* descriptor.h: the host's own descriptors in the program's process. All are async-signal-safe. */
#ifndef SEGUE_RUN_DESCRIPTOR_H
#define SEGUE_RUN_DESCRIPTOR_H

#include <stdbool.h>

/* The host's descriptors are above those that programs use, which may count on getting the lowest number. */
#define LOWEST_DESCRIPTOR 512

/* Opens a file for reading, closed on exec. If the process has no descriptor left, one above its limit is used if its
 * hard limit allows it. Returns a descriptor, or a negative error number. */
int descriptor_open(int folder, const char *path, int flags);

/* Moves a descriptor to a number of at least LOWEST_DESCRIPTOR, closed on exec; `low` is closed. A lower limit is
 * raised for the moment if the hard limit, or a privilege, allows it. -1 on failure. */
int descriptor_lift(int low);

/* Whether it is closed on exec. */
void descriptor_set_closed(int descriptor, bool is_closed);

#endif
