/* descriptor.h: descriptors of the host's, in the program's process. All are async-signal-safe. */
#ifndef SEGUE_RUN_DESCRIPTOR_H
#define SEGUE_RUN_DESCRIPTOR_H

#include <stdbool.h>

/* They are put above those that programs look at, which may count on getting the lowest. */
#define LOWEST_DESCRIPTOR 512

/* Opens a file for reading, closed on exec. Where the process has no descriptor left, one above its limit is used if
 * its hard limit lets it. A descriptor, or a negative error number. */
int descriptor_open(int folder, const char *path, int flags);

/* The same file by a number of at least LOWEST_DESCRIPTOR, closed on exec; `low` is closed. Where the limit is lower,
 * it is raised for the moment if the hard limit, or a privilege, lets it. -1 if it cannot be had. */
int descriptor_lift(int low);

/* Whether it is closed on exec. */
void descriptor_set_closed(int descriptor, bool is_closed);

#endif
