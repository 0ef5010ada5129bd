/* descriptor_linux.c: SOURCES: getrlimit(2) (RLIMIT_NOFILE bounds the numbers to come, and closes none), fcntl(2). */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tools/run/syscalls/call_linux_x86_64.h"

#define ROOM 64

static bool limit_set(const struct rlimit *to, struct rlimit *before)
{
    return system_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)to, (long)before) == 0;
}

/* Raises the limit as far as it may be, above what it was; false if that is not allowed. What it was is stored. */
static bool limit_raise(struct rlimit *before)
{
    if (!limit_set(NULL, before))
        return false;
    struct rlimit more = {before->rlim_max, before->rlim_max};
    if (more.rlim_cur < LOWEST_DESCRIPTOR + ROOM) {
        more.rlim_cur = more.rlim_max = LOWEST_DESCRIPTOR + ROOM;
        if (limit_set(&more, NULL))
            return true;
        more.rlim_cur = more.rlim_max = before->rlim_max;
    }
    return before->rlim_cur < more.rlim_cur && limit_set(&more, NULL);
}

int descriptor_open(int folder, const char *path, int flags)
{
    struct rlimit before;
    long file = system_call4(SYS_openat, folder, (long)path, O_RDONLY | O_CLOEXEC | flags, 0);
    if (file != -EMFILE || !limit_raise(&before))
        return (int)file;
    file = system_call4(SYS_openat, folder, (long)path, O_RDONLY | O_CLOEXEC | flags, 0);
    limit_set(&before, NULL);
    return (int)file;
}

/* Above the limit that the program knows, it could not get a descriptor itself. */
int descriptor_lift(int low)
{
    struct rlimit before;
    if (low < 0)
        return -1;
    long high = system_call3(SYS_fcntl, low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if ((high == -EINVAL || high == -EMFILE) && limit_raise(&before)) {
        rlim_t least = before.rlim_cur < LOWEST_DESCRIPTOR ? before.rlim_cur : LOWEST_DESCRIPTOR;
        high = system_call3(SYS_fcntl, low, F_DUPFD_CLOEXEC, (long)least);
        limit_set(&before, NULL);
    }
    system_call3(SYS_close, low, 0, 0);
    return high < 0 ? -1 : (int)high;
}

void descriptor_set_closed(int descriptor, bool is_closed)
{
    system_call3(SYS_fcntl, descriptor, F_SETFD, is_closed ? FD_CLOEXEC : 0);
}
