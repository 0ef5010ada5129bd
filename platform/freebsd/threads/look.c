/* look.c: see platform/threads/look.h. A thread is stopped for the moment in which its stack pointer is read: then it
 * waits as one in the kernel does. */
#if !defined(__FreeBSD__)
#error "platform/freebsd/threads/look.c is specific to FreeBSD"
#endif

#include "platform/threads/look.h"

#include "held.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread.h"

enum look look_at_thread(int number, uint64_t *stack_pointer)
{
    struct held held;
    if (number == platform_thread_id())
        return LOOK_RUNS;
    if (hold(&held, number) != STOP_DONE)
        return LOOK_UNKNOWN;
    *stack_pointer = frame_stack_pointer(held.context);
    release(&held);
    return LOOK_WAITS;
}
