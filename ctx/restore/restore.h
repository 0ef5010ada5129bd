/* restore.h: whether a handler may be left without the kernel in this process. */
#ifndef SEGUE_CTX_RESTORE_H
#define SEGUE_CTX_RESTORE_H

/* Why no handler may be left directly, as a static string; NULL if it may. Async-signal-safe. */
const char *restore_obstacle(void);

#endif
