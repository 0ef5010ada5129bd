/* stack.c: see platform/threads/thread.h, "stacks".
 *
 * SOURCES: sigaltstack(2). */
#if defined(_WIN32)
#error "platform/posix/stack.c is specific to POSIX"
#endif

#include "platform/frame/stack.h"

#include "platform/threads/thread.h"

bool platform_is_on_alternate_stack(void)
{
    struct alternate_stack present;
    return platform_stack_exchange(NULL, &present) == 0 && (present.flags & STACK_IN_USE);
}
