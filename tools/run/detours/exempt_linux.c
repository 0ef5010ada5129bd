/* exempt_linux.c: one range, since the kernel takes one.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst. */
#include "exempt.h"

#include <string.h>

uint64_t run_leave_copy;
static uint64_t exempt_bytes;

void exempt_prepare(const struct executable_memory *memory, size_t size)
{
    size_t leave_size = (size_t)(run_leave_end - run_leave);
    run_leave_copy = (uint64_t)(uintptr_t)run_leave;
    exempt_bytes = leave_size;
    if (!memory)
        return;
    memcpy((void *)(uintptr_t)memory->writable, run_leave, leave_size);
    run_leave_copy = memory->executable;
    exempt_bytes = size;
}

uint64_t exempt_start(void)
{
    return run_leave_copy;
}

uint64_t exempt_size(void)
{
    return exempt_bytes;
}

bool exempt_is_leaving(uint64_t address)
{
    return address - run_leave_copy < (uint64_t)(run_leave_end - run_leave);
}
