/* identity_linux.c: see identity.h. */
#include "identity.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "tools/run/syscalls/call_linux_x86_64.h"

static bool has_capabilities(int file)
{
    char value[64];
    return system_call4(SYS_fgetxattr, file, (long)"security.capability", (long)value, sizeof value) > 0;
}

static bool may_gain(int file)
{
    struct statfs system;
    if (system_call6(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) == 1)
        return false;
    return system_call3(SYS_fstatfs, file, (long)&system, 0) != 0 || !(system.f_flags & ST_NOSUID);
}

const char *identity_gain(int file, const struct stat *status)
{
    uint32_t user = (uint32_t)system_call3(SYS_geteuid, 0, 0, 0);
    const char *why = NULL;
    if ((status->st_mode & S_ISUID) && status->st_uid != user)
        why = "is set-user-ID: it cannot be run with that identity here, and is refused";
    else if ((status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
             status->st_gid != (uint32_t)system_call3(SYS_getegid, 0, 0, 0))
        why = "is set-group-ID: it cannot be run with that identity here, and is refused";
    else if (user != 0 && has_capabilities(file))
        why = "has file capabilities: it cannot be run with them here, and is refused";
    return why && may_gain(file) ? why : NULL;
}
