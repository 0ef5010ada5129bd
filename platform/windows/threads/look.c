/* look.c: see platform/threads/look.h. A thread is held for the moment in which its stack pointer is read: then it
 * waits as one in the kernel does.
 *
 * SOURCES: Microsoft, SuspendThread (the thread stops some time after the call), GetThreadContext (waits until it
 * has). */
#if !defined(_WIN32)
#error "platform/windows/threads/look.c is specific to Windows"
#endif

#include "platform/threads/look.h"

#include <windows.h>

#include "platform/windows/frame/native.h"

enum look look_at_thread(int number, uint64_t *stack_pointer)
{
    enum look found = LOOK_UNKNOWN;
    CONTEXT context;
    if (number == (int)GetCurrentThreadId())
        return LOOK_RUNS;
    HANDLE thread = OpenThread(THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT, FALSE, (DWORD)number);
    if (!thread)
        return LOOK_UNKNOWN;
    if (SuspendThread(thread) != (DWORD)-1) {
        context.ContextFlags = CONTEXT_CONTROL;
        if (GetThreadContext(thread, &context)) {
            *stack_pointer = context.STACK_POINTER;
            found = LOOK_WAITS;
        }
        ResumeThread(thread);
    }
    CloseHandle(thread);
    return found;
}
