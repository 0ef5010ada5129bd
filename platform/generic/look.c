/* look.c: what a system does not say of another thread (platform/threads/look.h). */
#include "platform/threads/look.h"

bool look_is_in_call(int number)
{
    (void)number;
    return false;
}

bool look_waits_for_child(int number)
{
    (void)number;
    return false;
}

bool look_has_ended(int number)
{
    (void)number;
    return false;
}

bool look_processor_time(int number, uint64_t *nanoseconds)
{
    (void)number;
    (void)nanoseconds;
    return false;
}

bool look_at_threads(bool (*visit)(int number, void *context), void *context)
{
    (void)visit;
    (void)context;
    return false;
}

unsigned look_list_threads(int *numbers, unsigned most)
{
    (void)numbers;
    (void)most;
    return 0;
}
