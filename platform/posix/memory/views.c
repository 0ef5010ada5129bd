/* views.c: where two views of one memory are (platform/memory/memory.h). Both are made in a range that is reserved
 * before, and what is left of it is their guards.
 *
 * SOURCES: mmap(2), minherit(2); arc4random(3). */
#if defined(_WIN32)
#error "platform/posix/memory/views.c is specific to POSIX"
#endif

#include "views.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__APPLE__)
#include <mach/vm_inherit.h>
#endif

#include "decode/x86/page.h"

/* In the headers of macOS by Mach's name. */
#ifndef INHERIT_NONE
#define INHERIT_NONE VM_INHERIT_NONE
#endif

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
    result = views_map(views, size, access, true);
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
    result = views_map(views, size, access, false);
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

bool platform_view_keep_from_child(uint64_t view, uint64_t size)
{
    return minherit((void *)(uintptr_t)(view - PLATFORM_VIEW_GUARD), size + 2 * PLATFORM_VIEW_GUARD, INHERIT_NONE) == 0;
}
