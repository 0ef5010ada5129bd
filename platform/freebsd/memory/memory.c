/* memory.c: see platform/memory/memory.h.
 *
 * SOURCES: FreeBSD mmap(2) (MAP_EXCL, MAP_GUARD), minherit(2) (INHERIT_ZERO), pipe2(2), write(2) (EFAULT);
 * sys/vm/vm_mmap.c (vm_mmap_to_errno: addresses that are taken are ENOMEM). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/memory/memory.c is specific to FreeBSD"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

bool platform_wipe_on_fork(void *memory, size_t size)
{
    int kept = errno;
    bool done = minherit(memory, size, INHERIT_ZERO) == 0;
    errno = kept;
    return done;
}

void platform_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

/* So many bytes always fit into a pipe. */
#define PIECE 512u

static enum platform_look pass_through(const int ends[2], uint64_t address, char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t wanted = size - done < PIECE ? size - done : PIECE;
        ssize_t written = write(ends[1], (const void *)(uintptr_t)(address + done), wanted);
        if (written <= 0)
            return written < 0 && errno == EFAULT ? PLATFORM_NOT_THERE : PLATFORM_NOT_KNOWN;
        if (read(ends[0], bytes + done, (size_t)written) != written)
            return PLATFORM_NOT_KNOWN;
        done += (size_t)written;
    }
    return PLATFORM_THERE;
}

/* The kernel reads the memory, into a pipe. It is made each time: a program may close what it did not open. */
enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size)
{
    int ends[2], kept = errno;
    enum platform_look found = PLATFORM_NOT_KNOWN;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        found = pass_through(ends, address, bytes, size);
        close(ends[0]);
        close(ends[1]);
    }
    errno = kept;
    return found;
}

long platform_reserve_at(uint64_t at, uint64_t size)
{
    int kept = errno;
    void *memory = mmap((void *)(uintptr_t)at, size, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_FIXED | MAP_EXCL, -1, 0);
    errno = kept;
    return memory == MAP_FAILED ? -EEXIST : 0;
}
