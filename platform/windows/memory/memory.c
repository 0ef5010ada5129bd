/* memory.c: see platform/memory/memory.h; the views are in views.c.
 *
 * SOURCES: Microsoft, VirtualAlloc, VirtualFree (only a whole allocation can be released; a part of one is
 * decommitted, and its addresses stay reserved), VirtualProtect, VirtualQuery. */
#if !defined(_WIN32)
#error "platform/windows/memory/memory.c is specific to Windows"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <string.h>
#include <windows.h>

#include "decode/x86/page.h"
#include "protection.h"

size_t platform_page_size(void)
{
    return PAGE;
}

void *platform_map(size_t size)
{
    return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void *platform_map_apart(size_t size)
{
    return platform_map(size);
}

void *platform_map_sparse(size_t size)
{
    return platform_map(size);
}

void *platform_reserve(size_t size)
{
    return VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_NOACCESS);
}

void *platform_map_stack(size_t size, size_t guard)
{
    char *memory = platform_reserve(size);
    if (!memory || VirtualAlloc(memory + guard, size - guard, MEM_COMMIT, PAGE_READWRITE))
        return memory;
    VirtualFree(memory, 0, MEM_RELEASE);
    return NULL;
}

/* Whether these bytes are all of an allocation. */
static bool is_whole(const void *memory, size_t size)
{
    MEMORY_BASIC_INFORMATION part;
    const char *at = memory, *end = at + size;
    for (; VirtualQuery(at, &part, sizeof part) && part.AllocationBase == memory; at += part.RegionSize)
        if (at > end)
            return false;
    return at == end;
}

void platform_unmap(void *memory, size_t size)
{
    if (is_whole(memory, size))
        VirtualFree(memory, 0, MEM_RELEASE);
    else
        VirtualFree(memory, size, MEM_DECOMMIT);
}

void *platform_map_quietly(size_t size)
{
    return platform_map(size);
}

void platform_unmap_quietly(void *memory, size_t size)
{
    platform_unmap(memory, size);
}

bool platform_wipe_on_fork(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return true;
}

void platform_prefer_huge_pages(void *memory, size_t size, bool huge)
{
    (void)memory;
    (void)size;
    (void)huge;
}

size_t platform_address_space_limit(void)
{
    return SIZE_MAX;
}

DWORD protection_of(int access)
{
    switch (access) {
    case PLATFORM_NONE:
        return PAGE_NOACCESS;
    case PLATFORM_READ:
        return PAGE_READONLY;
    case PLATFORM_EXECUTE:
        return PAGE_EXECUTE;
    case PLATFORM_READ | PLATFORM_EXECUTE:
        return PAGE_EXECUTE_READ;
    default:
        return PAGE_READWRITE;
    }
}

long platform_protect(uint64_t address, uint64_t size, int access)
{
    DWORD before;
    if (VirtualProtect((void *)(uintptr_t)address, size, protection_of(access), &before))
        return 0;
    return GetLastError() == ERROR_NOT_ENOUGH_MEMORY ? -ENOMEM : -EINVAL;
}

/* ReadProcessMemory is no witness: it may read what the process itself cannot. */
enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size)
{
    (void)address;
    (void)bytes;
    (void)size;
    return PLATFORM_NOT_KNOWN;
}

long platform_reserve_at(uint64_t at, uint64_t size)
{
    if (VirtualAlloc((void *)(uintptr_t)at, size, MEM_RESERVE, PAGE_NOACCESS))
        return 0;
    return GetLastError() == ERROR_INVALID_ADDRESS ? -EEXIST : -ENOMEM;
}
