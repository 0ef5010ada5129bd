/* direct.h: whether a handler in this process may use a direct restore, and the restore. */
#ifndef SEGUE_CTX_DIRECT_H
#define SEGUE_CTX_DIRECT_H

#include <segue/frame.h>

/* Why no handler may use a direct restore, as a static string; NULL if one may. Async-signal-safe. */
const char *restore_obstacle(void);

/* Leaves the handler of `frame` by a direct restore, with its registers and that extended state; `of_frame` is a view
 * of the frame's own. Returns if this frame does not allow it. Async-signal-safe. */
void direct_restore(const struct segue_frame *frame, const struct segue_xstate *xstate,
                    const struct segue_xstate *of_frame, enum segue_restore_method method);

#endif
