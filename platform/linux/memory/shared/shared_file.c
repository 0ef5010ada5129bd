/* shared_file.c: see shared_file.h.
 *
 * SOURCES: memfd_create(2); setrlimit(2) RLIMIT_FSIZE; sendfile(2); lseek(2) SEEK_DATA: the pages of a memory file that
 * exist, swapped ones included, where mincore(2) shows only those in memory. */
#if !defined(__linux__)
#error "platform/linux/memory/shared/shared_file.c is specific to Linux"
#endif

#include "shared_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "platform/linux/call.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

/* A file longer than RLIMIT_FSIZE allows would cost the process a SIGXFSZ: for the moment of one call the soft limit is
 * the hard one. `*before` is what limit_restore puts back. Returns 0, or -EFBIG. */
static long limit_raise(uint64_t size, struct rlimit64 *before)
{
    if (system_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)before) != 0 || before->rlim_cur >= size) {
        before->rlim_cur = before->rlim_max = RLIM64_INFINITY;
        return 0;
    }
    const struct rlimit64 raised = {before->rlim_max, before->rlim_max};
    if (before->rlim_max < size || system_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, (long)&raised, 0) != 0)
        return -EFBIG;
    return 0;
}

static void limit_restore(const struct rlimit64 *before)
{
    if (before->rlim_cur != RLIM64_INFINITY)
        system_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, (long)before, 0);
}

static long set_length(int file, uint64_t size)
{
    struct rlimit64 before;
    long result = limit_raise(size, &before);
    if (result == 0)
        result = system_call3(SYS_ftruncate, file, (long)size, 0);
    limit_restore(&before);
    return result;
}

/* Older kernels do not know MFD_EXEC, and do not need it. */
static long make(const char *name, bool executable)
{
    long file = -EINVAL;
    if (executable)
        file = system_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_EXEC, 0);
    return file == -EINVAL ? system_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0) : file;
}

long shared_file_make(const char *name, uint64_t size, bool executable)
{
    long file = make(name, executable);
    if (file < 0)
        return file;
    long result = set_length((int)file, size);
    if (result == 0)
        return file;
    system_call3(SYS_close, file, 0, 0);
    return result;
}

static bool copy_range(int from, int to, off_t at, off_t end)
{
    if (lseek(to, at, SEEK_SET) != at)
        return false;
    while (at < end)
        if (sendfile(to, from, &at, (size_t)(end - at)) <= 0)
            return false;
    return true;
}

static bool copy_ranges(int from, int to, uint64_t size)
{
    off_t at, end = 0;
    while ((uint64_t)end < size) {
        at = lseek(from, end, SEEK_DATA);
        if (at < 0)
            return errno == ENXIO;
        end = lseek(from, at, SEEK_HOLE);
        if (end <= at || !copy_range(from, to, at, end))
            return false;
    }
    return true;
}

bool shared_file_copy(int from, int to, uint64_t size)
{
    struct rlimit64 before;
    if (limit_raise(size, &before) != 0)
        return false;
    bool is_copied = copy_ranges(from, to, size);
    limit_restore(&before);
    return is_copied;
}
