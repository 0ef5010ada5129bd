/* mappings.c: which mapping holds an address, what it allows, and code that is written once.
 *
 * SOURCES: Mach's vm_region_64 (finds the region at or behind an address), vm_protect; mmap(2), mprotect(2) of macOS.
 * ASSUMPTION: the process is not hardened; if it is, no page that was written becomes executable, and the request is
 * refused. */
#if !defined(__APPLE__)
#error "platform/darwin/memory/mappings.c is specific to macOS"
#endif

#include "platform/memory/mappings.h"

#include <errno.h>
#include <mach/mach.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/memory/executable.h"
#include "platform/memory/memory.h"

bool mappings_find(uint64_t address, struct mapping *mapping)
{
    vm_address_t start = address;
    vm_size_t size = 0;
    vm_region_basic_info_data_64_t info;
    mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64;
    mach_port_t object = MACH_PORT_NULL;
    if (vm_region_64(mach_task_self(), &start, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_t)&info, &count,
                     &object) != KERN_SUCCESS ||
        start > address)
        return false;
    *mapping =
        (struct mapping){.start = start, .end = start + size, .protection = info.protection, .is_shared = info.shared};
    return true;
}

/* The pages of a file's code may not be written: but a copy of them that is this process's own. */
long platform_protect(uint64_t address, uint64_t size, int access)
{
    int kept = errno;
    long result = mprotect((void *)(uintptr_t)address, size, access) == 0 ? 0 : -(long)errno;
    if (result == -EACCES && (access & PLATFORM_WRITE) &&
        vm_protect(mach_task_self(), address, size, false, access | VM_PROT_COPY) == KERN_SUCCESS)
        result = 0;
    errno = kept;
    return result;
}

void *executable_copy(const void *code, size_t size, size_t room, size_t data)
{
    char *memory = platform_map_quietly(room + data);
    if (!memory)
        return NULL;
    memset(memory, 0xcc, room);
    memcpy(memory, code, size);
    if (platform_protect((uint64_t)(uintptr_t)memory, room, PLATFORM_READ | PLATFORM_EXECUTE) == 0)
        return memory;
    platform_unmap_quietly(memory, room + data);
    return NULL;
}
