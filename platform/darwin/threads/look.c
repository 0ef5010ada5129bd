/* look.c: see platform/threads/look.h. A thread is held for the moment in which its stack pointer is read: then it
 * waits as one in the kernel does.
 *
 * SOURCES: Mach's thread_suspend, thread_get_state (waits until the thread has stopped). */
#if !defined(__APPLE__)
#error "platform/darwin/threads/look.c is specific to macOS"
#endif

#include "platform/threads/look.h"

#include <mach/mach.h>

#include "platform/threads/thread.h"

enum look look_at_thread(int number, uint64_t *stack_pointer)
{
    thread_act_t thread = (thread_act_t)number;
    x86_thread_state64_t state;
    mach_msg_type_number_t size = x86_THREAD_STATE64_COUNT;
    enum look found = LOOK_UNKNOWN;
    if (number == platform_thread_id())
        return LOOK_RUNS;
    if (thread_suspend(thread) != KERN_SUCCESS)
        return LOOK_UNKNOWN;
    if (thread_get_state(thread, x86_THREAD_STATE64, (thread_state_t)&state, &size) == KERN_SUCCESS) {
        *stack_pointer = state.__rsp;
        found = LOOK_WAITS;
    }
    thread_resume(thread);
    return found;
}
