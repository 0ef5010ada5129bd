/* path.h: paths that lead to the program's own file. */
#ifndef SEGUE_RUN_PATH_H
#define SEGUE_RUN_PATH_H

#include "service.h"

/* Whether the path, relative to the descriptor `folder`, names the running program by way of /proc, however it is
 * spelled. Async-signal-safe. */
bool path_is_own_program(int folder, const char *path);

/* Calls whose argument is a path, the one before it a folder's descriptor unless it is the first. If the path leads to
 * the host's program, which the program takes for itself, path_lead puts another there. */
call_service path_lead;

/* readlink and readlinkat, for which that is answered. */
call_service path_serve_link;

#endif
