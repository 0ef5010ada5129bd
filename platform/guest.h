/* guest.h: what the handlers that <segue/posix.h> installs for guests need from ctx/guest, which implements all of
 * it. */
#ifndef SEGUE_PLATFORM_GUEST_H
#define SEGUE_PLATFORM_GUEST_H

#include <segue/status.h>

#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

/* Signals have numbers below this. */
#define GUEST_SIGNALS 65

/* The entry of every handler that segue_guest_sigaction installs; a table holds the handler to run. In assembly. */
void guest_signal_entry(int number, void *info, void *ucontext);
extern platform_handler *guest_handlers[GUEST_SIGNALS] __attribute__((visibility("hidden")));

/* Records the code that the C library's handlers return to. */
void guest_note_restorer(uint64_t address);

/* As segue_guest_catch. */
enum segue_status guest_catch(struct native_frame native);

#endif
