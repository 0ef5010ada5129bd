/* stack.h: the stack on which a program starts. */
#ifndef SEGUE_RUN_STACK_H
#define SEGUE_RUN_STACK_H

#include "loader.h"

/* Builds it in the process's own stack, far enough below the caller's that a few more calls do not reach it: pointers
 * to `arguments` (ending in NULL) and `environment`, whose strings begin at `strings`, and the auxiliary vector,
 * changed for the image. Returns the program's initial stack pointer. Not async-signal-safe. */
uint64_t stack_build(char **arguments, char **environment, const char *strings, const char *path,
                     const struct image *image);

#endif
