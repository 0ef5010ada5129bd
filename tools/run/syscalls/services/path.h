/* path.h: paths that lead to the program's own file. */
#ifndef SEGUE_RUN_PATH_H
#define SEGUE_RUN_PATH_H

#include "tools/run/syscalls/service.h"

/* Whether the path, relative to the descriptor `folder`, names the running program through /proc, in whatever spelling.
 * Async-signal-safe. */
bool path_is_own_program(int folder, const char *path);

/* Calls with a path argument, which is preceded by a folder's descriptor unless it is the first. If the path leads to
 * the host's program, which the program takes for its own, path_lead replaces it by the program's path. */
call_service path_lead;

/* readlink and readlinkat: the host answers them for such a path. */
call_service path_serve_link;

#endif
