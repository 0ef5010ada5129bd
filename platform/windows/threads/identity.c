/* identity.c: see platform/threads/identity.h. There is one process, and a thread's number is in its block. */
#if !defined(_WIN32)
#error "platform/windows/threads/identity.c is specific to Windows"
#endif

#include "platform/threads/identity.h"

#include "platform/threads/thread.h"

__thread struct identity_self identity_self;

void identity_prepare(void (*renamed)(int before, struct identity self))
{
    (void)renamed;
}

void identity_of_others(void)
{
}

void identity_in_child(void)
{
}

__attribute__((hot)) struct identity identity_of_self(void)
{
    if (!identity_self.identity.number)
        identity_self.identity = (struct identity){platform_thread_id(), IDENTITY_OWN};
    return identity_self.identity;
}

bool identity_is_gone(struct identity thread)
{
    return platform_thread_is_gone(thread.number);
}

bool identity_is_own_process(void)
{
    return true;
}
