/* path_linux.c: makes /proc/self/exe lead to the program. SOURCES: proc(5). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "path.h"
#include "platform/linux/calls/table/table.h"
#include "tools/run/host/host.h"
#include "tools/run/host/memory.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/stub.h"

#define LONGEST 512

static bool stat_at(int folder, const char *path, struct stat *status)
{
    return system_call4(SYS_newfstatat, folder, (long)path, (long)status, 0) == 0;
}

/* The path must end in "exe" and lead to the host. It names the running program if its folder is this process's in
 * /proc, or one of its threads'. A folder has one inode as long as it is in use. */
bool path_is_own_program(int folder, const char *path)
{
    char parent[LONGEST + 8];
    struct stat found, own;
    /* Fast path for the usual spelling: asking /proc costs microseconds. */
    if (*settings.own_path && strcmp(path, "/proc/self/exe") == 0)
        return true;
    size_t length = strnlen(path, LONGEST);
    if (!*settings.own_path || length < 3 || length == LONGEST || strcmp(path + length - 3, "exe") != 0 ||
        (length > 3 && path[length - 4] != '/') || !stat_at(folder, path, &found) || !host_is(&found))
        return false;
    memcpy(parent, path, length - 3);
    strcpy(parent + length - 3, ".");
    if (!stat_at(AT_FDCWD, "/proc/self/.", &own) || !stat_at(folder, parent, &found))
        return false;
    if (found.st_ino == own.st_ino && found.st_dev == own.st_dev)
        return true;
    strcat(parent, "/../..");
    return stat_at(folder, parent, &found) && found.st_ino == own.st_ino && found.st_dev == own.st_dev;
}

/* The same for an argument of the program's. */
static bool is_own_argument(int folder, uint64_t address)
{
    char path[LONGEST];
    long length = memory_read_string(path, address, sizeof path);
    return length >= 3 && strcmp(path + length - 3, "exe") == 0 && path_is_own_program(folder, path);
}

static long read_link(uint64_t to, uint64_t size)
{
    size_t length = strlen(settings.real_path);
    char link[1];
    long there = system_call3(SYS_readlink, (long)"/proc/self/exe", (long)link, sizeof link);
    if (there < 0)
        return there;
    if ((int)size <= 0)
        return -EINVAL;
    length = length < size ? length : size;
    return memory_write(to, settings.real_path, length) ? (long)length : -EFAULT;
}

/* lstat and readlink see the link itself. */
static bool sees_link(uint64_t number, const ucontext_t *frame)
{
    return (number == SYS_newfstatat && (registers_argument(frame, 3) & AT_SYMLINK_NOFOLLOW)) ||
           (number == SYS_statx && (registers_argument(frame, 2) & AT_SYMLINK_NOFOLLOW)) ||
           (number == SYS_openat && (registers_argument(frame, 2) & O_NOFOLLOW)) ||
           (number == SYS_open && (registers_argument(frame, 1) & O_NOFOLLOW));
}

enum call_outcome path_serve_link(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    int path = table_path(call->number), folder = path ? (int)registers_argument(frame, 0) : AT_FDCWD;
    (void)thread;
    if (!is_own_argument(folder, registers_argument(frame, path)))
        return CALL_PASSED;
    *result = read_link(registers_argument(frame, path + 1), registers_argument(frame, path + 2));
    return CALL_DONE;
}

enum call_outcome path_lead(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    int path = table_path(call->number), folder = path ? (int)registers_argument(frame, 0) : AT_FDCWD;
    uint64_t before[6];
    (void)result;
    if (!is_own_argument(folder, registers_argument(frame, path)) || sees_link(call->number, frame))
        return CALL_PASSED;
    registers_arguments(frame, before);
    registers_set(frame, registers_of_arguments[path], (uint64_t)(uintptr_t)settings.own_path);
    stub_pass(thread, frame, before);
    return CALL_ARRANGED;
}
