/* attached.h: for libsegue-watch.so in a process that runs already: nothing of the library is between the program and
 * the C library, so actions and masks for faults are kept where system calls are caught. */
#ifndef SEGUE_SIGNALS_WATCH_ATTACHED_H
#define SEGUE_SIGNALS_WATCH_ATTACHED_H

/* Masks that were opened from outside: masks_close after attached_end. */
#include "signals/syscalls/masks/masks.h"

/* Before segue_install with SEGUE_INSTALL_SYSTEM_CALLS. */
void attached_begin(void);

/* Before segue_uninstall: system calls are caught no longer. Nothing is watched any more. */
void attached_end(void);

#endif
