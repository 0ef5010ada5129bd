/* no_guest.c: posix_guest_catch where no guest runs. */
#if defined(_WIN32)
#error "platform/posix/called/no_guest.c is specific to POSIX"
#endif

#include "platform/posix/guest_catch.h"

enum segue_status posix_guest_catch(siginfo_t *info, void *ucontext)
{
    (void)info;
    (void)ucontext;
    return SEGUE_NOT_FOUND;
}
