/* identity.h: programs that the kernel would give another user's rights. A process that has taken a program's place
 * can't have them: such programs are refused. */
#ifndef SEGUE_RUN_IDENTITY_H
#define SEGUE_RUN_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "call_linux_x86_64.h"

#define IDENTITY_REFUSAL "%s is set-user-ID: it cannot be run with that identity here, and is refused"

static inline bool identity_is_gained(const struct stat *status)
{
    uint32_t user = (uint32_t)system_call3(SYS_geteuid, 0, 0, 0), group = (uint32_t)system_call3(SYS_getegid, 0, 0, 0);
    return ((status->st_mode & S_ISUID) && status->st_uid != user) ||
           ((status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status->st_gid != group);
}

#endif
