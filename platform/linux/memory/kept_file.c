/* kept_file.c: see kept_file.h. */
#if !defined(__linux__)
#error "platform/linux/memory/kept_file.c is specific to Linux"
#endif

#include "kept_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "platform/linux/call.h"

/* Descriptors below this are left to the program, which may rely on getting the lowest. */
#define LOWEST_DESCRIPTOR 512
/* A process with a lower limit has none to spare. */
#define LEAST_LIMIT 64

NOT_CAUGHT uint64_t kept_file_word(int descriptor)
{
    struct stat64 status;
    if (descriptor < 0 || descriptor + 1 >= 1 << KEPT_FILE_BITS ||
        system_call3(CALL_FSTAT, descriptor, (long)&status, 0) != 0)
        return 0;
    return ((status.st_ino ^ (uint64_t)status.st_dev << 32) << KEPT_FILE_BITS) | (uint64_t)(descriptor + 1);
}

int kept_file_lift(int low)
{
    struct rlimit64 limit;
    long high = system_call3(SYS_fcntl, low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (high == -EINVAL && system_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) == 0 &&
        limit.rlim_cur >= LEAST_LIMIT)
        high = system_call3(SYS_fcntl, low, F_DUPFD_CLOEXEC, (long)(limit.rlim_cur - limit.rlim_cur / 4));
    return high < 0 ? -1 : (int)high;
}

void kept_file_close(int descriptor)
{
    system_call3(SYS_close, descriptor, 0, 0);
}
