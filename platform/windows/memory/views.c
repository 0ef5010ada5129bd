/* views.c: memory that is mapped twice: two views of a section that the paging file backs (platform/memory/memory.h).
 *
 * A view's address is a multiple of 64 KiB, and so is a guard's, which begins at the next one after the view. Another
 * thread may take an address between the moment in which it is found free and the one in which it is mapped: then
 * others are tried.
 *
 * SOURCES: Microsoft, CreateFileMapping, MapViewOfFileEx ("the specified address must be a multiple of the system's
 * allocation granularity"; ERROR_INVALID_ADDRESS where it is taken), VirtualProtect (a view gains no access that it was
 * not mapped with). */
#if !defined(_WIN32)
#error "platform/windows/memory/views.c is specific to Windows"
#endif

#include "platform/memory/inherited.h"

#include <errno.h>
#include <string.h>
#include <windows.h>

#include "protection.h"

#define GRANULARITY UINT64_C(65536)
_Static_assert(PLATFORM_VIEW_GUARD % GRANULARITY == 0, "a guard is an allocation of its own");
/* The longest random distance between two views: of 32-bit addresses a program has 2 GiB. */
#define DISTANCE (UINT64_C(1) << (sizeof(void *) == 8 ? 30 : 26))
/* How often addresses are tried. */
#define TRIES 16u

static uint64_t whole(uint64_t size)
{
    return (size + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
}

static uint64_t random_word(void)
{
    static uint64_t drawn;
    LARGE_INTEGER count;
    QueryPerformanceCounter(&count);
    uint64_t word = (uint64_t)count.QuadPart ^ __builtin_ia32_rdtsc() ^ (uint64_t)GetCurrentProcessId() << 32 ^
                    (uint64_t)(uintptr_t)&count ^
                    __atomic_add_fetch(&drawn, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static long error(void)
{
    switch (GetLastError()) {
    case ERROR_INVALID_ADDRESS:
        return -EEXIST;
    case ERROR_MAPPED_ALIGNMENT:
        return -EINVAL;
    default:
        return -ENOMEM;
    }
}

static bool map_view(HANDLE section, uint64_t at, uint64_t size, DWORD access)
{
    return MapViewOfFileEx(section, access, 0, 0, size, (void *)(uintptr_t)at) != NULL;
}

/* A view that can be written may become one that can be executed, if the section may. */
static DWORD access_of(int access, bool may_be_executed)
{
    if (access & PLATFORM_WRITE)
        return may_be_executed ? FILE_MAP_WRITE | FILE_MAP_EXECUTE : FILE_MAP_WRITE;
    return access & PLATFORM_EXECUTE ? FILE_MAP_READ | FILE_MAP_EXECUTE : FILE_MAP_READ;
}

static bool reserve(uint64_t at, uint64_t size)
{
    return VirtualAlloc((void *)(uintptr_t)at, size, MEM_RESERVE, PAGE_NOACCESS) != NULL;
}

static void release(uint64_t at)
{
    VirtualFree((void *)(uintptr_t)at, 0, MEM_RELEASE);
}

/* A view at `at`, with a guard on each side. */
static long map_guarded(HANDLE section, uint64_t at, uint64_t size, DWORD access)
{
    uint64_t low = at - PLATFORM_VIEW_GUARD, high = at + whole(size);
    if (!reserve(low, PLATFORM_VIEW_GUARD))
        return error();
    if (!reserve(high, PLATFORM_VIEW_GUARD)) {
        long why = error();
        release(low);
        return why;
    }
    if (map_view(section, at, size, access))
        return 0;
    long why = error();
    release(low);
    release(high);
    return why;
}

/* Addresses for `size` bytes that were free a moment ago; 0 without such. */
static uint64_t find_free(uint64_t size)
{
    void *found = size <= SIZE_MAX ? VirtualAlloc(NULL, (SIZE_T)size, MEM_RESERVE, PAGE_NOACCESS) : NULL;
    if (found)
        VirtualFree(found, 0, MEM_RELEASE);
    return (uint64_t)(uintptr_t)found;
}

/* How far apart views of `size` bytes, with their guards, may be for one of them to be near the other, if that is
 * possible. */
static uint64_t distance_for(uint64_t size)
{
    uint64_t left = size < PLATFORM_VIEWS_NEAR ? PLATFORM_VIEWS_NEAR - size : DISTANCE;
    return left < DISTANCE ? left : DISTANCE;
}

static long create_apart(HANDLE section, uint64_t size, DWORD access, struct platform_views *views)
{
    uint64_t each = whole(size) + 2 * PLATFORM_VIEW_GUARD;
    long why = -ENOMEM;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t reserved = 2 * each + random_word() % distance_for(each) / GRANULARITY * GRANULARITY;
        uint64_t base = find_free(i < TRIES / 2 ? reserved : 2 * each);
        if (!base)
            continue;
        uint64_t low = base + PLATFORM_VIEW_GUARD;
        uint64_t high = base + (i < TRIES / 2 ? reserved : 2 * each) - each + PLATFORM_VIEW_GUARD;
        bool first_is_low = random_word() & 1;
        *views = (struct platform_views){first_is_low ? low : high, first_is_low ? high : low};
        why = map_guarded(section, views->first, size, access);
        if (why == 0 && (why = map_guarded(section, views->second, size, FILE_MAP_WRITE)) != 0)
            platform_view_unmap(views->first, size, true);
        if (why != -EEXIST)
            return why;
    }
    return why == -EEXIST ? -ENOMEM : why;
}

static long create_at(HANDLE section, uint64_t at, uint64_t size, DWORD access, struct platform_views *views)
{
    long why = -ENOMEM;
    if (!map_view(section, at, size, access))
        return error();
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t base = find_free(whole(size) + 2 * PLATFORM_VIEW_GUARD);
        *views = (struct platform_views){at, base + PLATFORM_VIEW_GUARD};
        why = base ? map_guarded(section, views->second, size, FILE_MAP_WRITE) : -ENOMEM;
        if (why != -EEXIST)
            break;
    }
    if (why != 0)
        platform_view_unmap(at, size, false);
    return why == -EEXIST ? -ENOMEM : why;
}

static HANDLE make_section(uint64_t size, DWORD most)
{
    return CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, most, (DWORD)(size >> 32), (DWORD)size, NULL);
}

long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views)
{
    bool may_be_executed = true;
    (void)backing;
    HANDLE section = make_section(size, PAGE_EXECUTE_READWRITE);
    if (!section && !(access & PLATFORM_EXECUTE)) {
        may_be_executed = false;
        section = make_section(size, PAGE_READWRITE);
    }
    if (!section)
        return -ENOMEM;
    DWORD first = access_of(access, may_be_executed);
    long result = at ? create_at(section, at, size, first, views) : create_apart(section, size, first, views);
    /* The views keep it. */
    CloseHandle(section);
    if (result == 0 && (access & PLATFORM_WRITE) && may_be_executed)
        platform_protect(views->first, size, access);
    return result;
}

void platform_view_unmap(uint64_t view, uint64_t size, bool guarded)
{
    UnmapViewOfFile((void *)(uintptr_t)view);
    if (!guarded)
        return;
    release(view - PLATFORM_VIEW_GUARD);
    release(view + whole(size));
}

bool platform_view_keep_from_child(uint64_t view, uint64_t size)
{
    (void)view;
    (void)size;
    return true;
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    (void)view;
    (void)size;
    return false;
}

/* No process forks. */
long inherited_add(const struct inherited *memory)
{
    (void)memory;
    return 0;
}

void inherited_remove(uint64_t first)
{
    (void)first;
}
