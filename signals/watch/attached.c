/* attached.c: see attached.h. */
#include "attached.h"

#include <signal.h>

#include "platform/threads/thread.h"
#include "signals/syscalls/syscalls.h"
#include "signals/threads/thread.h"

#define RAISED (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE))

void attached_begin(void)
{
    syscalls_keep(RAISED, false);
}

void started_begin(void)
{
    syscalls_keep(RAISED, true);
}

void attached_keep_room(size_t size)
{
    thread_keep_room(size);
}

void attached_end(void)
{
    syscalls_end();
}
