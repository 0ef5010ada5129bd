/* attached.c: see attached.h. */
#include "attached.h"

#include <signal.h>

#include "platform/threads/thread.h"
#include "signals/syscalls/syscalls.h"

void attached_begin(void)
{
    syscalls_keep(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE));
}

void attached_end(void)
{
    syscalls_end();
}
