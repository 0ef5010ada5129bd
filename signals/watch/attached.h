/* attached.h: for libsegue-watch.so: where system calls are caught, actions and masks for faults are kept.
 *
 * In a process that runs already nothing of the library is between the program and the C library. In one that was
 * started libsegue-sigchain.so is, and this is for the calls that the C library makes by itself: posix_spawn,
 * pthread_create and others block all signals, and touch memory of the program's then. */
#ifndef SEGUE_SIGNALS_WATCH_ATTACHED_H
#define SEGUE_SIGNALS_WATCH_ATTACHED_H

/* Masks that were opened from outside: masks_close after attached_end. */
#include "signals/syscalls/masks/masks.h"

/* Before segue_install with SEGUE_INSTALL_SYSTEM_CALLS. */
void attached_begin(void);
void started_begin(void);

/* Before segue_install: of the alternate stack that it makes, for handlers of the program's. */
void attached_keep_room(size_t size);

/* Before segue_uninstall: system calls are caught no longer. Nothing is watched any more. */
void attached_end(void);

#endif
