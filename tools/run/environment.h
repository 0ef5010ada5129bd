/* environment.h: variables that the dynamic loader and the C library obey are the program's, and must not reach the
 * host's. On the way to the host's program they stand behind a prefix, which the host takes off. */
#ifndef SEGUE_RUN_ENVIRONMENT_H
#define SEGUE_RUN_ENVIRONMENT_H

#include <stdbool.h>
#include <string.h>

#define ENVIRONMENT_PREFIX "SEGUE_RUN:"

/* The longest of the names that are looked for. */
#define ENVIRONMENT_LOOK 16

/* Whether a variable, of which at least the first ENVIRONMENT_LOOK bytes are there, is one of them. */
static inline bool environment_is_hidden(const char *variable)
{
    return strncmp(variable, "LD_", 3) == 0 || strncmp(variable, "GLIBC_TUNABLES=", 15) == 0 ||
           strncmp(variable, "MALLOC_", 7) == 0 || strncmp(variable, ENVIRONMENT_PREFIX, 10) == 0;
}

#endif
