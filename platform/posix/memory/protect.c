/* protect.c: platform_protect where mprotect does all of it.
 *
 * SOURCES: mprotect(2). */
#if defined(_WIN32)
#error "platform/posix/memory/protect.c is specific to POSIX"
#endif

#include <errno.h>
#include <sys/mman.h>

#include "platform/memory/memory.h"

long platform_protect(uint64_t address, uint64_t size, int access)
{
    int kept = errno;
    long result = mprotect((void *)(uintptr_t)address, size, access) == 0 ? 0 : -(long)errno;
    errno = kept;
    return result;
}
