/* host_linux.c: SOURCES: execveat(2), memfd_create(2), proc(5). */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/services/descriptor.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

static const char own_link[] = "/proc/self/exe";

/* The descriptor; the file's identity, in case the program has put another file there; and the file's bytes, which stay
 * when the program closes the descriptor. */
static struct {
    int file;
    uint64_t device, inode, size;
    const char *bytes;
    bool is_prepared;
} host = {.file = -1};

static bool has_filter;

bool host_is(const struct stat *status)
{
    host_prepare();
    return status->st_dev == host.device && status->st_ino == host.inode;
}

static bool is_kept(void)
{
    struct stat status;
    return host.file >= 0 && system_call3(SYS_fstat, host.file, (long)&status, 0) == 0 && host_is(&status);
}

static bool is_linked(void)
{
    struct stat status;
    return system_call4(SYS_newfstatat, AT_FDCWD, (long)own_link, (long)&status, 0) == 0 && host_is(&status);
}

void host_prepare(void)
{
    struct stat status;
    int file = host.file;
    if (host.is_prepared)
        return;
    host.is_prepared = true;
    if (file < 0)
        file = descriptor_open(AT_FDCWD, own_link, 0);
    if (file < 0 || system_call3(SYS_fstat, file, (long)&status, 0) != 0)
        return;
    host.device = status.st_dev;
    host.inode = status.st_ino;
    host.size = (uint64_t)status.st_size;
    long bytes = system_call6(SYS_mmap, 0, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    host.bytes = bytes < 0 && bytes > -4096 ? NULL : (const char *)bytes;
    if (host.file < 0)
        host.file = descriptor_lift(file);
}

void host_begin(int inherited)
{
    host.file = inherited;
    has_filter = system_call3(SYS_prctl, PR_GET_SECCOMP, 0, 0) > 0;
    if (inherited < 0)
        return;
    descriptor_set_closed(inherited, true);
    host_prepare();
}

void host_note_filter(void)
{
    has_filter = true;
}

bool host_has_filter(void)
{
    return has_filter;
}

/* Blocks the signal of a file that grows too large (SIGXFSZ), which would otherwise wait for the program. */
static bool may_write(void)
{
    struct rlimit limit;
    return system_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 && limit.rlim_cur >= host.size;
}

static int copy_bytes(void)
{
    uint64_t done = 0;
    if (!host.bytes || !may_write())
        return -ENOENT;
    long file = system_call3(SYS_memfd_create, (long)"segue-run", MFD_CLOEXEC | MFD_EXEC, 0);
    if (file == -EINVAL)
        file = system_call3(SYS_memfd_create, (long)"segue-run", MFD_CLOEXEC, 0);
    while (file >= 0 && done < host.size) {
        long written = system_call3(SYS_write, file, (long)(host.bytes + done), (long)(host.size - done));
        if (written <= 0) {
            system_call3(SYS_close, file, 0, 0);
            return written < 0 ? (int)written : -EIO;
        }
        done += (uint64_t)written;
    }
    return (int)file;
}

/* Files of this kind can be executed while they are open for writing. */
static int remake(void)
{
    struct stat status;
    int file = copy_bytes();
    if (file < 0)
        return file;
    int high = descriptor_lift(file);
    if (high < 0 || system_call3(SYS_fstat, high, (long)&status, 0) != 0)
        return -EMFILE;
    host.file = high;
    host.device = status.st_dev;
    host.inode = status.st_ino;
    return high;
}

int host_find(void)
{
    host_prepare();
    if (is_kept())
        return host.file;
    return is_linked() ? HOST_BY_PATH : remake();
}

static long enter_by_path(uint64_t arguments, uint64_t environment)
{
    return system_call3(SYS_execve, (long)own_link, (long)arguments, (long)environment);
}

static long enter_by_descriptor(int file, uint64_t arguments, uint64_t environment)
{
    return system_call6(SYS_execveat, file, (long)"", (long)arguments, (long)environment, AT_EMPTY_PATH, 0);
}

long host_enter(int found, uint64_t arguments, uint64_t environment)
{
    if (found == HOST_BY_PATH)
        return enter_by_path(arguments, environment);
    descriptor_set_closed(found, false);
    long result = has_filter && is_linked() ? enter_by_path(arguments, environment)
                                            : enter_by_descriptor(found, arguments, environment);
    descriptor_set_closed(found, true);
    return result;
}
