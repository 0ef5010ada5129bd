/* posix.h: the functions in the modules above that the public functions of <segue/posix.h>, which name the system's
 * types, call. */
#ifndef SEGUE_PLATFORM_POSIX_H
#define SEGUE_PLATFORM_POSIX_H

#include <segue/frame.h>
#include <stdbool.h>

#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

/* As segue_chain_at, for the action of signal `number` that is to be carried out. `entry_stack`: the stack pointer with
 * which the calling handler began; NULL if not known. signals/chain/chain.c */
void posix_chain(int number, struct native_frame native, const struct platform_action *action, const void *entry_stack);

/* As segue_restore_choose; `blocks_signals`: signals are blocked while the handler runs. `*reason` explains why the
 * method is not a faster one. ctx/restore/restore.c */
enum segue_restore_method restore_choose(bool blocks_signals, const char **reason);

#endif
