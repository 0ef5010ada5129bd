/* exempt_linux.c: one range, since the kernel takes one. The detours are written later, past the page protection.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst. */
#include "exempt.h"

#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"

uint64_t run_leave_copy;
static uint64_t size;

/* Without detours, the return path is exempt at the template itself. */
bool exempt_prepare(size_t room, size_t more)
{
    if (!room) {
        run_leave_copy = (uint64_t)(uintptr_t)run_leave;
        size = (uint64_t)(run_leave_end - run_leave);
        return true;
    }
    void *memory = mmap(NULL, PAGE + room + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memcpy(memory, run_leave, (size_t)(run_leave_end - run_leave));
    run_leave_copy = (uint64_t)(uintptr_t)memory;
    size = PAGE + room;
    return mprotect(memory, PAGE + room + more, PROT_READ | PROT_EXEC) == 0;
}

uint64_t exempt_start(void)
{
    return run_leave_copy;
}

uint64_t exempt_size(void)
{
    return size;
}

uint64_t exempt_room(void)
{
    return run_leave_copy + PAGE;
}

bool exempt_is_leaving(uint64_t address)
{
    return address - run_leave_copy < (uint64_t)(run_leave_end - run_leave);
}
