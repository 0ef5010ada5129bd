/* owner_linux.c: whose handler a signal has, by dladdr(3). */
#if !defined(__linux__)
#error "owner_linux.c is specific to Linux"
#endif

#include "owner.h"

#include <dlfcn.h>

void owner_name(int number, const struct sigaction *action, struct segue_owner *owner)
{
    Dl_info found;
    if (!owner)
        return;
    *owner = (struct segue_owner){.signal = number, .handler = (void *)(uintptr_t)action->sa_sigaction};
    if (dladdr(owner->handler, &found)) {
        owner->object = found.dli_fname;
        owner->symbol = found.dli_sname;
    }
}
