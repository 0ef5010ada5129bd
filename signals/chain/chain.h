/* chain.h: the handlers that were there before ours. */
#ifndef SEGUE_SIGNALS_CHAIN_H
#define SEGUE_SIGNALS_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/action.h"
#include "platform/frame.h"

/* Remembers what handled the signal before, and how our handler for it is installed. Async-signal-safe. */
void chain_remember(int number, const struct platform_action *previous, const struct platform_action *ours);

/* SA_RESTART, if our handler needs it: a signal that a program sends interrupts system calls as it would without us; an
 * ignored one never does. Async-signal-safe. */
uint64_t chain_restarts(const struct platform_action *previous);

/* Takes over what our handler has of the one behind it. Async-signal-safe. */
void chain_follow(int number, const struct platform_action *previous);

/* Puts back in force what would be in force without us. If the system refuses, errno says why, and false is returned.
 * Not for a handler. */
bool chain_put_back(int number);

enum chain_way {
    /* As the kernel would have entered it. */
    CHAIN_ENTER,
    /* By a call: ours was called by a handler of the program's that stands over it, and goes on after it. */
    CHAIN_CALL,
};

/* How our handler has been called, which began with that stack pointer: by the kernel, or by another handler.
 * Async-signal-safe. */
enum chain_way chain_way_in(int number, const void *ucontext, const void *entry_stack);

/* Hands the signal on: the previous handler sees it as if ours were not there; without one the thread does what the
 * kernel would have made it do. `is_fault`: the kernel raised it for the instruction at hand. One that was sent, and has
 * interrupted the library's way out of a handler, is shown the application's instruction. The handler that called
 * this must do nothing after it but return; most often it does not come back. Async-signal-safe. */
void chain_signal(int number, struct native_frame native, bool is_fault, enum chain_way way);

/* Raises the trap that the frame reports as the kernel would, whoever handles SIGTRAP. As chain_signal. */
void chain_trap(struct native_frame native, enum chain_way way);

/* Puts back the mask that the handler of a fault began with, which a policy may have changed. Async-signal-safe. */
void chain_restore_mask(int number, const void *ucontext);

/* Lets faults come that are blocked, and puts back the mask that was returned. Async-signal-safe. */
uint64_t chain_open_faults(void);
void chain_close_faults(uint64_t mask);

/* Whether a fault that is handed on kills the process, since nobody was there before to handle it. Async-signal-safe.
 */
bool chain_is_deadly(int number);

/* Whether a signal that is sent does nothing. Async-signal-safe. */
bool chain_is_ignored(int number);

/* Lets the process die of the signal, as the interrupted instruction's, as soon as the handler returns.
 * Async-signal-safe. */
void chain_die(int number, void *info);

#endif
