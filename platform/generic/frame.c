/* frame.c: what a frame does not say, and what its handler's return does not do, where a function of platform/ is what
 * the system calls. */
#include "platform/frame/frame.h"
#include "platform/frame/stack.h"

bool frame_is_lost(const void *info)
{
    (void)info;
    return false;
}

bool frame_is_key_refusal(const void *info)
{
    (void)info;
    return false;
}

void frame_set_alternate_stack(void *context, const struct alternate_stack *wanted)
{
    (void)context;
    (void)wanted;
}

bool frame_allows_direct_restore(const void *context)
{
    (void)context;
    return false;
}
