/* threads.h: what /proc says of a thread; for the command, and for the program's side. */
#ifndef SEGUE_TOOLS_WATCH_THREADS_H
#define SEGUE_TOOLS_WATCH_THREADS_H

#include <stdint.h>
#include <sys/types.h>

/* When it was made, in clock ticks since the system began; 0 if it has ended. */
uint64_t thread_began(pid_t process, pid_t thread);

/* The signals that it blocks; of one that waits with another mask (sigsuspend), by that. 0 if it has ended. */
uint64_t thread_blocks(pid_t process, pid_t thread);

#endif
