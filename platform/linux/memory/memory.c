/* memory.c: see platform/memory/memory.h; the views are in views.c.
 *
 * SOURCES: mmap(2), madvise(2) MADV_WIPEONFORK and MADV_HUGEPAGE, mremap(2), getrlimit(2) RLIMIT_AS,
 * process_vm_readv(2). */
#if !defined(__linux__)
#error "platform/linux/memory/memory.c is specific to Linux"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "decode/x86/page.h"
#include "platform/linux/call.h"

_Static_assert(PLATFORM_READ == PROT_READ && PLATFORM_WRITE == PROT_WRITE && PLATFORM_EXECUTE == PROT_EXEC &&
                   PLATFORM_NONE == PROT_NONE,
               "what a page allows is passed on as it is");

size_t platform_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The distance from the library's code that is far. */
#define FAR (UINT64_C(1) << 38)

static void *map_at(void *hint, size_t size, int access, int flags)
{
    void *memory = mmap(hint, size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *map(size_t size, int access, int flags)
{
    return map_at(NULL, size, access, flags);
}

void *platform_map(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE, 0);
}

/* Each has addresses of its own: one whose hint is taken would be mapped beside the libraries. */
static void *next_apart(size_t size)
{
    static uint64_t given;
    uint64_t here = (uint64_t)(uintptr_t)&next_apart & -(uint64_t)PAGE;
    uint64_t pages = (size + PAGE - 1) & -(uint64_t)PAGE;
    uint64_t end = __atomic_add_fetch(&given, pages, __ATOMIC_RELAXED);
    uint64_t hint = here > 4 * FAR ? here - FAR - end : here + FAR + end - pages;
    return (void *)(uintptr_t)hint;
}

void *platform_map_apart(size_t size)
{
    return map_at(next_apart(size), size, PROT_READ | PROT_WRITE, 0);
}

static void *map_quietly_at(void *hint, size_t size)
{
    long result = system_call6(CALL_MAP, (long)hint, (long)size, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return system_call_failed(result) ? NULL : (void *)result;
}

void *platform_map_sparse(size_t size)
{
    void *memory = map_quietly_at(next_apart(size), size);
    if (memory)
        system_call3(SYS_madvise, (long)memory, (long)size, MADV_NOHUGEPAGE);
    return memory;
}

void *platform_reserve(size_t size)
{
    return map(size, PROT_NONE, 0);
}

void *platform_map_stack(size_t size, size_t guard)
{
    char *memory = map(size, PROT_NONE, MAP_STACK);
    if (!memory || mprotect(memory + guard, size - guard, PROT_READ | PROT_WRITE) == 0)
        return memory;
    munmap(memory, size);
    return NULL;
}

void platform_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

void *platform_map_quietly(size_t size)
{
    return map_quietly_at(NULL, size);
}

void platform_unmap_quietly(void *memory, size_t size)
{
    system_call3(SYS_munmap, (long)memory, (long)size, 0);
}

bool platform_wipe_on_fork(void *memory, size_t size)
{
    return madvise(memory, size, MADV_WIPEONFORK) == 0;
}

void platform_prefer_huge_pages(void *memory, size_t size, bool huge)
{
    madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

size_t platform_address_space_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? (size_t)limit.rlim_cur : SIZE_MAX;
}

long platform_protect(uint64_t address, uint64_t size, int access)
{
    return system_call3(SYS_mprotect, (long)address, (long)size, access);
}

NOT_CAUGHT enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size)
{
    struct iovec to = {bytes, size}, from = {(void *)(uintptr_t)address, size};
    long self = system_call3(SYS_getpid, 0, 0, 0);
    long done = system_call6(SYS_process_vm_readv, self, (long)&to, 1, (long)&from, 1, 0);
    if (done == (long)size)
        return PLATFORM_THERE;
    return done == -EFAULT ? PLATFORM_NOT_THERE : PLATFORM_NOT_KNOWN;
}

long platform_reserve_at(uint64_t at, uint64_t size)
{
    long result = system_call6(CALL_MAP, (long)at, (long)size, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (result == (long)at)
        return 0;
    if (system_call_failed(result))
        return result;
    /* A kernel before 4.17 takes the address only as a hint. */
    system_call3(SYS_munmap, result, (long)size, 0);
    return -EEXIST;
}
