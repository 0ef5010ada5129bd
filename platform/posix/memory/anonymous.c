/* anonymous.c: see platform/memory/memory.h: memory without a file, where nothing is asked of it that mmap does not do.
 *
 * SOURCES: mmap(2), mprotect(2), getrlimit(2). */
#if defined(_WIN32)
#error "platform/posix/memory/anonymous.c is specific to POSIX"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "decode/x86/page.h"

/* FreeBSD reserves nothing. */
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

_Static_assert(PLATFORM_READ == PROT_READ && PLATFORM_WRITE == PROT_WRITE && PLATFORM_EXECUTE == PROT_EXEC &&
                   PLATFORM_NONE == PROT_NONE,
               "what a page allows is passed on as it is");

size_t platform_page_size(void)
{
    return PAGE;
}

static void *map(size_t size, int access)
{
    int kept = errno;
    void *memory = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
    errno = kept;
    return memory == MAP_FAILED ? NULL : memory;
}

void *platform_map(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE);
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
    return map(size, PROT_NONE);
}

void *platform_map_stack(size_t size, size_t guard)
{
    char *memory = platform_reserve(size);
    if (!memory || mprotect(memory + guard, size - guard, PROT_READ | PROT_WRITE) == 0)
        return memory;
    munmap(memory, size);
    return NULL;
}

void *platform_map_quietly(size_t size)
{
    return platform_map(size);
}

void platform_unmap_quietly(void *memory, size_t size)
{
    int kept = errno;
    munmap(memory, size);
    errno = kept;
}

void platform_prefer_huge_pages(void *memory, size_t size, bool huge)
{
    (void)memory;
    (void)size;
    (void)huge;
}

size_t platform_address_space_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? (size_t)limit.rlim_cur : SIZE_MAX;
}
