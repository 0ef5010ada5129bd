/* signal_entry.h: where the kernel enters the handler. */
#ifndef SEGUE_SIGNALS_SIGNAL_ENTRY_H
#define SEGUE_SIGNALS_SIGNAL_ENTRY_H

#include "platform/code_range.h"

/* The signal handler. All that is reachable from here keeps the handler's rules (docs/design.md). In assembly: it
 * sets the host's segment bases if it has interrupted a guest, and then calls signal_serve with its initial stack
 * pointer: if the frame is not right above that, the caller is not the kernel. */
void signal_entry(int number, void *info, void *ucontext);
void signal_serve(int number, void *info, void *ucontext, const void *entry_stack);

/* The code ranges of the entries (entry.c). */
extern const struct code_range entry_range, entry_suspend_range, entry_begin_range;

#endif
