/* host.h: the host's own program, which is executed again in place of each program that the program executes. The host
 * keeps it open and executes it by its descriptor, so no path, root or /proc is needed to find it. */
#ifndef SEGUE_RUN_HOST_H
#define SEGUE_RUN_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* At the start: `inherited` is the descriptor that the host was entered by, or -1. */
void host_begin(int inherited);

/* Makes sure that the file is kept open, if the user executed the host: called before a program is executed, and before
 * the process changes its root, its mounts or its limit of descriptors. Most programs do none of these.
 * Async-signal-safe; by one thread at a time. */
void host_prepare(void);

/* Whether a file is the host's program. Async-signal-safe. */
struct stat;
bool host_is(const struct stat *status);

/* Notes that a seccomp filter of the program's is in force: from here on the host is executed by the system call by
 * which programs execute others, if possible. Async-signal-safe, as all that follow. */
void host_note_filter(void);
bool host_has_filter(void);

/* Finds the descriptor by which to execute it, whose number the new host must get; HOST_BY_PATH if it can only be
 * executed by way of /proc. If the program has closed the descriptor and there is no /proc, the file is made anew from
 * memory. Returns a negative error number if no way is left. */
#define HOST_BY_PATH (-4096)
int host_find(void);

/* Executes it with these arguments and this environment. Returns a negative error number, or not at all. */
long host_enter(int found, uint64_t arguments, uint64_t environment);

#endif
