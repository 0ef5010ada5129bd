/* identity.c: see platform/threads/identity.h, for systems on which all threads that share memory are those of one
 * process: macOS (a thread's number is the name of its port) and FreeBSD (without rfork). */
#if defined(_WIN32)
#error "platform/posix/called/identity.c is specific to POSIX"
#endif

#include "platform/threads/identity.h"

#include <errno.h>
#include <signal.h>

#include "platform/threads/thread.h"

__thread struct identity_self identity_self;

/* The process that the threads belong to. */
static uint32_t home;

void identity_prepare(void (*renamed)(int before, struct identity self))
{
    (void)renamed;
    __atomic_store_n(&home, (uint32_t)platform_process_id(), __ATOMIC_RELEASE);
}

__attribute__((hot)) struct identity identity_of_self(void)
{
    if (!identity_self.identity.number) {
        identity_self.identity = (struct identity){platform_thread_id(), IDENTITY_OWN};
        identity_self.process = (uint32_t)platform_process_id();
    }
    return identity_self.identity;
}

void identity_of_others(void)
{
}

/* Several fork handlers call it: the first call counts. */
void identity_in_child(void)
{
    uint32_t process = (uint32_t)platform_process_id();
    if (home == process && identity_self.process == process)
        return;
    home = process;
    identity_self.number_before_fork = identity_self.identity.number;
    identity_self.identity = (struct identity){platform_thread_id(), IDENTITY_OWN};
    identity_self.process = process;
}

bool identity_is_gone(struct identity thread)
{
    return thread.number != platform_thread_id() && platform_thread_is_gone(thread.number);
}

bool identity_is_own_process(void)
{
    return (uint32_t)platform_process_id() == __atomic_load_n(&home, __ATOMIC_ACQUIRE);
}

bool platform_process_is_gone(int process)
{
    int kept = errno;
    bool gone = kill(process, 0) != 0 && errno == ESRCH;
    errno = kept;
    return gone;
}
