/* sole.h: copies of the library in one process, which know nothing of each other: plugins bring them, or a program that
 * was linked with one loads another. */
#ifndef SEGUE_PLATFORM_SOLE_H
#define SEGUE_PLATFORM_SOLE_H

#include <stdbool.h>

/* Whether this copy is the first one that asks, in this process and in those that made it by fork. True, too, if that
 * cannot be known. Not async-signal-safe; one caller at a time. */
bool sole_claim(void);

#endif
