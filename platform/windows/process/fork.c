/* fork.c: see platform/process/fork.h and fork_lock.h: no process forks. */
#if !defined(_WIN32)
#error "platform/windows/process/fork.c is specific to Windows"
#endif

#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"

#include <windows.h>

_Static_assert(sizeof(struct fork_lock) == sizeof(SRWLOCK), "the lock is a pointer");

bool fork_register(enum fork_order order, const struct fork_hooks *hooks)
{
    (void)order;
    (void)hooks;
    return true;
}

void fork_run_before(void)
{
}

void fork_run_in_parent(void)
{
}

void fork_run_in_child(void)
{
}

void fork_lock_take(struct fork_lock *lock)
{
    AcquireSRWLockExclusive((SRWLOCK *)&lock->lock);
}

void fork_lock_release(struct fork_lock *lock)
{
    ReleaseSRWLockExclusive((SRWLOCK *)&lock->lock);
}
