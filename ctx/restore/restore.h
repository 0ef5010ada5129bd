/* restore.h: whether a handler in this process may use a direct restore. */
#ifndef SEGUE_CTX_RESTORE_H
#define SEGUE_CTX_RESTORE_H

/* Why no handler may use a direct restore, as a static string; NULL if one may. Async-signal-safe. */
const char *restore_obstacle(void);

#endif
