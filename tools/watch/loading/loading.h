/* loading.h: how libsegue-watch.so comes into a program that is linked statically (tools/watch/agent/static_program.h):
 * the process gets a loader, which takes the program for one that needs no library. */
#ifndef SEGUE_TOOLS_WATCH_LOADING_H
#define SEGUE_TOOLS_WATCH_LOADING_H

#include <sys/types.h>

/* The process, after remote_prepare, executes the program; it goes on in the loader. `agent`: libsegue-watch.so;
 * `descriptor`: of the memory, in the process. NULL, or why that is not possible: it is then still before the program's
 * first instruction, or has ended. */
const char *loading_begin(pid_t process, const char *agent, int descriptor);

#endif
