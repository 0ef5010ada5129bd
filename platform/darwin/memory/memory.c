/* memory.c: see platform/memory/memory.h; the views are in views.c.
 *
 * SOURCES: mmap(2), mprotect(2), getrlimit(2), pthread_atfork(3) of macOS; Mach's vm_read_overwrite (fails where the
 * memory cannot be read), vm_allocate (fails where something is mapped, without VM_FLAGS_OVERWRITE). */
#if !defined(__APPLE__)
#error "platform/darwin/memory/memory.c is specific to macOS"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <mach/mach.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memory that a child finds zeroed: the system has none, so the child zeroes it, before all other hooks ---- */

#define WIPED 16u
static struct wiped {
    void *memory;
    size_t size;
} wiped[WIPED];
static uint32_t wiped_count;

static void wipe_in_child(void)
{
    for (uint32_t i = 0; i < WIPED; i++)
        if (wiped[i].size)
            memset(wiped[i].memory, 0, wiped[i].size);
}

/* Hooks run in the order in which they were registered: a library's initialisers come before all that it is called for.
 */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, wipe_in_child);
}

bool platform_wipe_on_fork(void *memory, size_t size)
{
    uint32_t place = __atomic_fetch_add(&wiped_count, 1, __ATOMIC_RELAXED);
    if (place >= WIPED)
        return false;
    wiped[place].memory = memory;
    __atomic_store_n(&wiped[place].size, size, __ATOMIC_RELEASE);
    return true;
}

void platform_unmap(void *memory, size_t size)
{
    for (uint32_t i = 0; i < WIPED; i++)
        if (wiped[i].memory == memory)
            wiped[i].size = 0;
    munmap(memory, size);
}

enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size)
{
    vm_size_t done = 0;
    switch (vm_read_overwrite(mach_task_self(), address, size, (vm_address_t)bytes, &done)) {
    case KERN_SUCCESS:
        return done == size ? PLATFORM_THERE : PLATFORM_NOT_KNOWN;
    case KERN_INVALID_ADDRESS:
    case KERN_PROTECTION_FAILURE:
        return PLATFORM_NOT_THERE;
    default:
        return PLATFORM_NOT_KNOWN;
    }
}

long platform_reserve_at(uint64_t at, uint64_t size)
{
    vm_address_t place = at;
    kern_return_t result = vm_allocate(mach_task_self(), &place, size, VM_FLAGS_FIXED);
    if (result != KERN_SUCCESS)
        return result == KERN_NO_SPACE ? -EEXIST : -ENOMEM;
    return platform_protect(at, size, PLATFORM_NONE);
}
