/* memory_linux.c: accesses the program's memory, and strings in it, as the kernel would for the program. */
#include "memory.h"

#include <string.h>

#include "decode/x86/page.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/keys.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

_Thread_local uint32_t memory_rights;

static _Thread_local struct thread *served;

void memory_begin(struct thread *thread)
{
    served = thread;
    thread->is_open = false;
}

void memory_open(void)
{
    const uint64_t own = HOST_SIGNALS;
    if (!served || served->is_open)
        return;
    served->is_open = true;
    system_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&own, 0, sizeof own);
}

bool memory_try(void (*function)(void *context), void *context)
{
    memory_open();
    return run_try(function, context);
}

bool memory_read_freely(void *to, uint64_t address, size_t size)
{
    memory_open();
    return run_copy(to, (const void *)(uintptr_t)address, size);
}

bool memory_write_freely(uint64_t address, const void *from, size_t size)
{
    memory_open();
    return run_copy((void *)(uintptr_t)address, from, size);
}

static bool copy(void *to, const void *from, size_t size)
{
    memory_open();
    if (!memory_rights)
        return run_copy(to, from, size);
    keys_take(memory_rights);
    bool done = run_copy(to, from, size);
    keys_open();
    return done;
}

bool memory_read(void *to, uint64_t address, size_t size)
{
    return copy(to, (const void *)(uintptr_t)address, size);
}

bool memory_write(uint64_t address, const void *from, size_t size)
{
    return copy((void *)(uintptr_t)address, from, size);
}

long memory_read_string(char *to, uint64_t address, size_t capacity)
{
    size_t held = 0;
    while (held < capacity) {
        size_t size = PAGE - ((address + held) & (PAGE - 1));
        size = size < capacity - held ? size : capacity - held;
        if (!memory_read(to + held, address + held, size))
            return -1;
        const char *end = memchr(to + held, 0, size);
        if (end)
            return end - to;
        held += size;
    }
    return -1;
}

long memory_string_length(uint64_t address)
{
    char piece[PAGE];
    for (uint64_t held = 0;;) {
        size_t size = PAGE - ((address + held) & (PAGE - 1));
        if (!memory_read(piece, address + held, size))
            return -1;
        const char *end = memchr(piece, 0, size);
        if (end)
            return (long)held + (end - piece);
        held += size;
    }
}
