/* stop.c: see platform/threads/stop.h.
 *
 * SOURCES: Microsoft, SuspendThread (the thread stops some time after the call), GetThreadContext (waits until it has),
 * "Working with XState Context"; winternl.h, NtQueryInformationThread; PE format, ".tls" (the thread's block holds an
 * array with the module's variables at 58h; on i386 at 2Ch). */
#if !defined(_WIN32)
#error "platform/windows/threads/stop.c is specific to Windows"
#endif

#include "platform/threads/stop.h"

#include <windows.h>
#include <winternl.h>

#include "platform/windows/frame/native.h"

/* A CONTEXT with all components that an area holds. */
#define REGISTERS_SIZE 8192
#if defined(__x86_64__)
#define TEB_LOCALS 0x58
#else
#define TEB_LOCALS 0x2c
#endif

struct stop {
    struct native context;
    struct gathered_room room;
    HANDLE thread;
    const char *block;
    _Alignas(64) unsigned char registers[REGISTERS_SIZE];
};

/* As winternl.h has THREAD_BASIC_INFORMATION, which mingw-w64 10 lacks. */
struct basic_information {
    NTSTATUS status;
    void *block;
    CLIENT_ID id;
    ULONG_PTR affinity;
    LONG priority, base_priority;
};

extern ULONG _tls_index;

size_t stop_size(void)
{
    return sizeof(struct stop);
}

static CONTEXT *read_registers(struct stop *stop)
{
    CONTEXT *registers;
    DWORD size = sizeof stop->registers;
    DWORD64 components = GetEnabledXStateFeatures();
    if (!InitializeContext(stop->registers, CONTEXT_ALL | CONTEXT_XSTATE, &registers, &size) ||
        !SetXStateFeaturesMask(registers, components) || !GetThreadContext(stop->thread, registers))
        return NULL;
    return registers;
}

static const char *block_of(HANDLE thread)
{
    struct basic_information information;
    if (NtQueryInformationThread(thread, (THREADINFOCLASS)0, &information, sizeof information, NULL) != 0)
        return NULL;
    return information.block;
}

/* A thread that has ended is still there while someone has a handle of it. */
static enum stop_result failure_of(HANDLE thread)
{
    return WaitForSingleObject(thread, 0) == WAIT_OBJECT_0 ? STOP_GONE : STOP_REFUSED;
}

enum stop_result stop_begin(struct stop *stop, int thread)
{
    const DWORD rights =
        THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT | THREAD_SET_CONTEXT | THREAD_QUERY_INFORMATION | SYNCHRONIZE;
    enum stop_result result = STOP_DONE;
    stop->thread = OpenThread(rights, FALSE, (DWORD)thread);
    if (!stop->thread)
        return GetLastError() == ERROR_INVALID_PARAMETER ? STOP_GONE : STOP_REFUSED;
    stop->block = block_of(stop->thread);
    if (GetProcessIdOfThread(stop->thread) != GetCurrentProcessId()) {
        result = STOP_GONE;
    } else if (!stop->block || SuspendThread(stop->thread) == (DWORD)-1) {
        result = failure_of(stop->thread);
    } else {
        CONTEXT *registers = read_registers(stop);
        if (registers) {
            native_begin(&stop->context, registers, &stop->room);
            return STOP_DONE;
        }
        ResumeThread(stop->thread);
        result = failure_of(stop->thread);
    }
    CloseHandle(stop->thread);
    return result;
}

void stop_end(struct stop *stop)
{
    ResumeThread(stop->thread);
    CloseHandle(stop->thread);
}

bool stop_store(struct stop *stop)
{
    return SetThreadContext(stop->thread, stop->context.thread);
}

void *stop_context(struct stop *stop)
{
    return &stop->context;
}

void *stop_local(const struct stop *stop, const void *own)
{
    char *const *here = *(char *const **)((const char *)NtCurrentTeb() + TEB_LOCALS);
    char *const *there = *(char *const *const *)(stop->block + TEB_LOCALS);
    return there && there[_tls_index] ? there[_tls_index] + ((const char *)own - here[_tls_index]) : NULL;
}

void *stop_interrupted(const struct stop *stop)
{
    const struct native_thread *thread = stop_local(stop, &native_thread);
    return thread ? native_outermost(thread, stop->context.stack_pointer) : NULL;
}

bool stop_is_leaving(const struct stop *stop)
{
    const struct native_thread *thread = stop_local(stop, &native_thread);
    return thread && native_leaves(thread, stop->context.stack_pointer);
}
