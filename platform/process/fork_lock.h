/* fork_lock.h: a mutex that fork takes, so that no child begins with the data that it guards half changed. The
 * forking thread holds it from the library's hook before the fork to the one after it (fork.h): fork handlers of
 * other libraries, which run in between, may call functions that take it. */
#ifndef SEGUE_PLATFORM_FORK_LOCK_H
#define SEGUE_PLATFORM_FORK_LOCK_H

#if defined(_WIN32)
#include "platform/windows/process/fork_lock.h"
#else
#include "platform/posix/fork_lock.h"
#endif

#endif
