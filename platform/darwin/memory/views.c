/* views.c: memory that is mapped twice (platform/memory/memory.h): shared memory, and a second mapping of the same
 * pages by vm_remap. Both are made in a range that is reserved before, and what is left of it is their guards.
 *
 * SOURCES: mmap(2), minherit(2), madvise(2) of macOS; Mach's vm_remap (without a copy it shares the pages),
 * vm_protect; arc4random(3). */
#if !defined(__APPLE__)
#error "platform/darwin/memory/views.c is specific to macOS"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <mach/mach.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "decode/x86/page.h"

/* The longest random distance between two views. */
#define DISTANCE (UINT64_C(1) << 30)

static long reserve(uint64_t size, uint64_t *at)
{
    void *memory = platform_reserve(size);
    *at = (uint64_t)(uintptr_t)memory;
    return memory ? 0 : -ENOMEM;
}

static void unmap(uint64_t at, uint64_t size)
{
    if (size)
        platform_unmap_quietly((void *)(uintptr_t)at, size);
}

/* Shared memory at addresses that are the caller's. */
static long map_shared(uint64_t at, uint64_t size)
{
    int kept = errno;
    void *memory = mmap((void *)(uintptr_t)at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON | MAP_FIXED, -1, 0);
    errno = kept;
    return memory == MAP_FAILED ? -ENOMEM : 0;
}

/* The pages at `from` once more, at `at`; what is there is replaced only if that is the caller's. */
static long map_again(uint64_t at, uint64_t from, uint64_t size, int access, bool is_reserved)
{
    vm_address_t place = at;
    vm_prot_t present, most;
    int flags = VM_FLAGS_FIXED | (is_reserved ? VM_FLAGS_OVERWRITE : 0);
    kern_return_t result = vm_remap(mach_task_self(), &place, size, 0, flags, mach_task_self(), from, false, &present,
                                    &most, VM_INHERIT_SHARE);
    if (result != KERN_SUCCESS)
        return result == KERN_NO_SPACE ? -EEXIST : -ENOMEM;
    return platform_protect(at, size, access);
}

/* How far apart views of `whole` bytes may be for one of them to be near the other, if that is possible. */
static uint64_t distance_for(uint64_t whole)
{
    uint64_t left = whole < PLATFORM_VIEWS_NEAR ? PLATFORM_VIEWS_NEAR - whole : DISTANCE;
    return left < DISTANCE ? left : DISTANCE;
}

static uint64_t random_pages(uint64_t most)
{
    return (uint64_t)arc4random() % (most >> PAGE_BITS) << PAGE_BITS;
}

static long create_apart(uint64_t size, int access, struct platform_views *views)
{
    uint64_t whole = size + 2 * PLATFORM_VIEW_GUARD, more = random_pages(distance_for(whole)), at;
    bool first_is_low = arc4random() & 1;
    long result = reserve(2 * whole + more, &at);
    if (result != 0) {
        more = 0;
        result = reserve(2 * whole, &at);
    }
    if (result != 0)
        return result;
    uint64_t low = at + PLATFORM_VIEW_GUARD, high = low + whole + more;
    *views = (struct platform_views){first_is_low ? low : high, first_is_low ? high : low};
    result = map_shared(views->second, size);
    if (result == 0)
        result = map_again(views->first, views->second, size, access, true);
    if (result == 0)
        unmap(at + whole, more);
    else
        unmap(at, 2 * whole + more);
    return result;
}

static long create_at(uint64_t at, uint64_t size, int access, struct platform_views *views)
{
    uint64_t whole = size + 2 * PLATFORM_VIEW_GUARD, base;
    long result = reserve(whole, &base);
    if (result != 0)
        return result;
    *views = (struct platform_views){at, base + PLATFORM_VIEW_GUARD};
    result = map_shared(views->second, size);
    if (result == 0)
        result = map_again(at, views->second, size, access, false);
    if (result != 0)
        unmap(base, whole);
    return result;
}

long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views)
{
    (void)backing;
    return at ? create_at(at, size, access, views) : create_apart(size, access, views);
}

void platform_view_unmap(uint64_t view, uint64_t size, bool guarded)
{
    uint64_t guard = guarded ? PLATFORM_VIEW_GUARD : 0;
    unmap(view - guard, size + 2 * guard);
}

void platform_view_release(uint64_t pages, uint64_t size)
{
    (void)pages;
    (void)size;
}

bool platform_view_keep_from_child(uint64_t view, uint64_t size)
{
    return minherit((void *)(uintptr_t)(view - PLATFORM_VIEW_GUARD), size + 2 * PLATFORM_VIEW_GUARD, VM_INHERIT_NONE) ==
           0;
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    (void)view;
    (void)size;
    return false;
}
