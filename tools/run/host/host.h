/* host.h: the host's own program, which is executed again in place of each program that the program executes. It is
 * kept open and entered by its descriptor: so neither a path, a root, nor /proc is needed to find it. */
#ifndef SEGUE_RUN_HOST_H
#define SEGUE_RUN_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* At the start: `inherited` is the descriptor that the host was entered by, or -1. */
void host_begin(int inherited);

/* Makes sure that it is kept, where the host was executed by the user: before a program is executed, and before the
 * process's root or its mounts change, or its descriptors' limit. Most programs do none of these. Async-signal-safe; by
 * one thread at a time. */
void host_prepare(void);

/* Whether it is this file. Async-signal-safe. */
struct stat;
bool host_is(const struct stat *status);

/* A filter of the program's is in force: from here on the host is entered by the system call that programs execute
 * others by, if it can be. Async-signal-safe, as all that follow. */
void host_note_filter(void);
bool host_has_filter(void);

/* Finds the descriptor to enter by, which the new host is to be told; HOST_BY_PATH where it is entered by way of /proc.
 * Where the program has closed it and there is no /proc, it is made anew from memory. Returns a negative error number
 * if there is no way. */
#define HOST_BY_PATH (-4096)
int host_find(void);

/* Executes it with these arguments and this environment. Returns a negative error number, or not at all. */
long host_enter(int found, uint64_t arguments, uint64_t environment);

#endif
