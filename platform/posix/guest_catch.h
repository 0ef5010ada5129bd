/* guest_catch.h: segue_guest_catch with what the system passes to a handler. */
#ifndef SEGUE_PLATFORM_POSIX_GUEST_CATCH_H
#define SEGUE_PLATFORM_POSIX_GUEST_CATCH_H

#if defined(_WIN32)
#error "platform/posix/guest_catch.h is specific to POSIX"
#endif

#include <segue/posix.h>

/* For a handler that segue_guest_sigaction has installed. platform/posix/frame.c, and where handlers are called,
 * platform/SYSTEM/handlers/action.c. */
enum segue_status posix_guest_catch(siginfo_t *info, void *ucontext);

#endif
