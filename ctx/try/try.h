/* try.h: recovery points (segue_try), for a handler that calls foreign code inside such a block. */
#ifndef SEGUE_CTX_TRY_H
#define SEGUE_CTX_TRY_H

#include <segue/try.h>
#include <signal.h>

#include "platform/frame/frame.h"

/* The calling thread's innermost recovery point, with the outer ones behind it; NULL if none. Async-signal-safe. */
struct segue_trial *trial_current(void);
void trial_set_current(struct segue_trial *trial);

/* As segue_try_catch, but ignores `outermost` and the recovery points outside it, which belong to the code that the
 * handler has interrupted. NULL: ignores none. Async-signal-safe. */
enum segue_status trial_catch(struct native_frame native, const struct segue_trial *outermost);

#endif
