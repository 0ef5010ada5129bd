/* thread.c: see platform/threads/thread.h. There are no signals: masks are empty, and nothing is sent.
 *
 * SOURCES: Microsoft, WaitOnAddress, GetCurrentThreadStackLimits. */
#if !defined(_WIN32)
#error "platform/windows/threads/thread.c is specific to Windows"
#endif

#include "platform/threads/thread.h"

#include <errno.h>
#include <windows.h>

#include "platform/frame/stack.h"
#include "platform/threads/exit.h"

#define MILLISECOND UINT64_C(1000000)

const void *platform_thread_self(void)
{
    return NtCurrentTeb();
}

int platform_thread_id(void)
{
    return (int)GetCurrentThreadId();
}

int platform_process_id(void)
{
    return (int)GetCurrentProcessId();
}

/* A thread that cannot be opened for another reason is there. */
bool platform_thread_is_gone(int thread)
{
    HANDLE handle = OpenThread(SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)thread);
    if (!handle)
        return GetLastError() == ERROR_INVALID_PARAMETER;
    bool is_gone =
        WaitForSingleObject(handle, 0) == WAIT_OBJECT_0 || GetProcessIdOfThread(handle) != GetCurrentProcessId();
    CloseHandle(handle);
    return is_gone;
}

bool platform_process_is_gone(int process)
{
    (void)process;
    return false;
}

bool platform_thread_signal(int thread, int signal)
{
    (void)thread;
    (void)signal;
    return false;
}

/* ---- blocked signals ---- */

uint64_t platform_mask_exchange(const uint64_t *wanted)
{
    (void)wanted;
    return 0;
}

void platform_mask_set(uint64_t wanted)
{
    (void)wanted;
}

bool platform_mask_is_allowed(void)
{
    return true;
}

uint64_t platform_mask_block(uint64_t signals)
{
    (void)signals;
    return 0;
}

uint64_t platform_mask_unblock(uint64_t signals)
{
    (void)signals;
    return 0;
}

uint64_t platform_signals_hold(void)
{
    return 0;
}

uint64_t platform_asynchronous_hold(void)
{
    return 0;
}

void platform_signals_release(uint64_t before)
{
    (void)before;
}

/* ---- waiting ---- */

static DWORD milliseconds(uint64_t nanoseconds)
{
    uint64_t whole = nanoseconds / MILLISECOND + (nanoseconds % MILLISECOND != 0);
    return whole < INFINITE ? (DWORD)whole : INFINITE - 1;
}

void platform_sleep(uint64_t nanoseconds)
{
    Sleep(milliseconds(nanoseconds));
}

void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    WaitOnAddress((volatile void *)(uintptr_t)word, &value, sizeof value,
                  nanoseconds == PLATFORM_FOREVER ? INFINITE : milliseconds(nanoseconds));
}

void platform_wake(const uint32_t *word, int most)
{
    if (most == 1)
        WakeByAddressSingle((void *)(uintptr_t)word);
    else
        WakeByAddressAll((void *)(uintptr_t)word);
}

/* ---- stacks ---- */

long platform_stack_exchange(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    if (wanted)
        return -ENOSYS;
    if (before)
        *before = (struct alternate_stack){.flags = STACK_DISABLED};
    return 0;
}

size_t platform_stack_least(void)
{
    return 0;
}

bool platform_is_on_alternate_stack(void)
{
    return false;
}

bool platform_own_stack(uint64_t *base, uint64_t *end)
{
    ULONG_PTR low, high;
    GetCurrentThreadStackLimits(&low, &high);
    *base = low;
    *end = high;
    return true;
}

/* ---- ends: nothing is left to do at one, since a thread has no stack of the library's ---- */

bool thread_exit_prepare(void (*run)(void))
{
    (void)run;
    return true;
}

void thread_exit_wants(bool wanted)
{
    (void)wanted;
}
