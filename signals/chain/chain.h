/* chain.h: chaining: forwards signals to the handlers that were installed before the library's. */
#ifndef SEGUE_SIGNALS_CHAIN_H
#define SEGUE_SIGNALS_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

/* Installs the library's handler over `*previous`, the action that was read. Returns false, with errno set, if the
 * kernel refuses. Not for a handler. */
bool chain_install(int number, const struct platform_action *previous, const struct platform_action *ours);

/* Uninstalls the library's handler: restores the previous action. Returns false, with errno set, if the kernel
 * refuses. Not for a handler. */
bool chain_put_back(int number);

/* From now on these signals are blocked in no handler that is entered. */
void chain_keep_open(uint64_t signals);

enum chain_way {
    /* Entered by the kernel: the previous handler is entered as the kernel would have entered it. */
    CHAIN_ENTER,
    /* Called by a program's handler that was installed later, and that continues after the call returns. */
    CHAIN_CALL,
};

/* Whether the kernel or another handler has called the library's handler, which began with that stack pointer.
 * Async-signal-safe. */
enum chain_way chain_way_in(int number, const void *ucontext, const void *entry_stack);

/* Forwards the signal. The previous handler sees it as if the library were not there; without a previous handler the
 * default action is carried out. `is_fault`: the kernel raised the signal for the instruction at hand. For a signal
 * that was sent, and that interrupted the library's return path, the frame shows the application's instruction
 * (fault-PC translation). After this call the handler may only return; mostly the call does not return.
 * Async-signal-safe. */
void chain_signal(int number, struct native_frame native, bool is_fault, enum chain_way way);

/* Raises the trap that the frame reports, as the kernel would, whichever handler SIGTRAP has. As chain_signal. */
void chain_trap(struct native_frame native, enum chain_way way);

/* Restores the mask that a fault's handler began with; a policy may have changed it. Async-signal-safe. */
void chain_restore_mask(int number, const void *ucontext);

/* Unblocks faults; returns the mask before, which chain_close_faults restores. Async-signal-safe. */
uint64_t chain_open_faults(void);
void chain_close_faults(uint64_t mask);

/* Whether forwarding a fault kills the process, because it has no previous handler. Async-signal-safe. */
bool chain_is_deadly(int number);

/* Whether a signal that a program sends is ignored. Async-signal-safe. */
bool chain_is_ignored(int number);

/* Makes the process die of the signal, at the interrupted instruction, as soon as the handler returns.
 * Async-signal-safe. */
void chain_die(int number, void *info);

#endif
