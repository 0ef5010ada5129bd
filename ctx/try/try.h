/* try.h: blocks that may fault (segue_try), for a handler that runs code of others in the middle of one. */
#ifndef SEGUE_CTX_TRY_H
#define SEGUE_CTX_TRY_H

#include <segue/try.h>
#include <signal.h>

#include "platform/frame.h"

/* The calling thread's innermost block, and all around it; NULL for none. Async-signal-safe. */
struct segue_trial *trial_current(void);
void trial_set_current(struct segue_trial *trial);

/* As segue_try_catch, but `outermost` and what is around it do not count: those blocks are of the code that the handler
 * has interrupted. NULL: all count. Async-signal-safe. */
enum segue_status trial_catch(struct native_frame native, const struct segue_trial *outermost);

#endif
