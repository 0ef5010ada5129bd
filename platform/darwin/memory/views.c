/* views.c: memory that is mapped twice (platform/memory/memory.h): shared memory, and a second mapping of the same
 * pages by vm_remap.
 *
 * SOURCES: mmap(2) of macOS; Mach's vm_remap (without a copy it shares the pages),
 * vm_protect. */
#if !defined(__APPLE__)
#error "platform/darwin/memory/views.c is specific to macOS"
#endif

#include "platform/memory/inherited.h"

#include <errno.h>
#include <mach/mach.h>
#include <sys/mman.h>

#include "platform/posix/memory/views.h"

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

long views_map(const struct platform_views *views, uint64_t size, int access, bool is_reserved)
{
    long result = map_shared(views->second, size);
    return result == 0 ? map_again(views->first, views->second, size, access, is_reserved) : result;
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    (void)view;
    (void)size;
    return false;
}

/* No copy can be made. */
long inherited_add(const struct inherited *memory)
{
    (void)memory;
    return -ENOTSUP;
}

void inherited_remove(uint64_t first)
{
    (void)first;
}
