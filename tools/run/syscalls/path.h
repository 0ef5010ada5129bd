/* path.h: paths that lead to the program's own file. */
#ifndef SEGUE_RUN_PATH_H
#define SEGUE_RUN_PATH_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the path, relative to the descriptor `folder`, names the running program by way of /proc, however it is
 * spelled. Async-signal-safe. */
bool path_is_own_program(int folder, const char *path);

/* Whether calls with this number are among those whose paths are looked at (calls.h, path_serve). */
bool path_may_serve(uint64_t number);

#endif
