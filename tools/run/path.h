/* path.h: paths that lead to the program's own file. */
#ifndef SEGUE_RUN_PATH_H
#define SEGUE_RUN_PATH_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the string at `address` names the running program by way of /proc. Async-signal-safe. */
bool path_is_own_program(uint64_t address);

/* Whether calls with this number are among those whose paths are looked at (calls.h, path_serve). */
bool path_may_serve(uint64_t number);

#endif
