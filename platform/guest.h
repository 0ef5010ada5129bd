/* guest.h: what the handlers that <segue/posix.h> installs for guests need from ctx/guest, which implements all of
 * it. */
#ifndef SEGUE_PLATFORM_GUEST_H
#define SEGUE_PLATFORM_GUEST_H

#include <segue/status.h>
#include <stdbool.h>

#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

/* Signals have numbers below this. */
#define GUEST_SIGNALS 65

/* The entry of every handler that segue_guest_sigaction installs; a table holds the handler to run. In assembly. */
void guest_signal_entry(int number, void *info, void *ucontext);
extern platform_handler *guest_handlers[GUEST_SIGNALS] __attribute__((visibility("hidden")));

/* Where platform/ has the system enter a function of its own that the system calls, with the same arguments: sets the
 * host's bases first if it has interrupted a guest. In assembly. */
void guest_system_entry(int number, void *info, void *ucontext);
extern platform_handler *guest_system_handler __attribute__((visibility("hidden")));

/* Calls a handler with a frame as frame.h has it, which such a function has opened: as that of a guest, if it is one.
 */
void guest_serve(int number, void *info, void *ucontext, void (*handler)(int, void *, void *));

/* Whether that thread, which does not run, may have the bases of a guest in force. On such a system. Async-signal-safe.
 */
bool guest_is_entered(int thread);

/* Records the code that the C library's handlers return to. */
void guest_note_restorer(uint64_t address);

/* As segue_guest_catch. */
enum segue_status guest_catch(struct native_frame native);

#endif
