/* attach.h: a program that runs already comes to be watched: a thread of it loads libsegue-watch.so, which makes a
 * thread of its own; that one watches the ranges, and gives all back at the end. */
#ifndef SEGUE_TOOLS_WATCH_ATTACH_H
#define SEGUE_TOOLS_WATCH_ATTACH_H

#include "tools/watch/names/code.h"

/* False, with a message, if the process cannot be watched. */
bool attach_check(pid_t process, const char *library);

/* Loads the library. Returns a descriptor of the shared memory; -1, with a message, if that was not possible. */
int attach(struct code *code, const char *library);

#endif
