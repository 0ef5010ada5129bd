/* path_linux.c: /proc/self/exe is the program. SOURCES: proc(5). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "call_linux_x86_64.h"
#include "calls.h"
#include "memory.h"
#include "path.h"
#include "registers.h"
#include "settings.h"

#define LONGEST 40

/* Which argument is the path. */
static const struct {
    uint16_t number;
    uint8_t path;
} calls[] = {
    {SYS_open, 0},       {SYS_stat, 0},  {SYS_access, 0},    {SYS_openat, 1},
    {SYS_newfstatat, 1}, {SYS_statx, 1}, {SYS_faccessat, 1},
};

bool path_is_own_program(uint64_t address)
{
    char path[LONGEST], own[LONGEST] = "/proc/";
    if (memory_read_string(path, address, sizeof path) < 0 || strncmp(path, own, 6) != 0)
        return false;
    if (strcmp(path, "/proc/self/exe") == 0 || strcmp(path, "/proc/thread-self/exe") == 0)
        return true;
    long number = system_call3(SYS_getpid, 0, 0, 0);
    char *end = path + 6;
    long named = 0;
    while (*end >= '0' && *end <= '9' && named < 1L << 40)
        named = named * 10 + (*end++ - '0');
    return named == number && strcmp(end, "/exe") == 0;
}

static long read_link(uint64_t to, uint64_t size)
{
    size_t length = strlen(settings.real_path);
    if ((int)size <= 0)
        return -EINVAL;
    length = length < size ? length : size;
    return memory_write(to, settings.real_path, length) ? (long)length : -EFAULT;
}

/* lstat and readlink see the link itself. */
static bool sees_link(uint64_t number, const ucontext_t *frame)
{
    return number == SYS_newfstatat && (argument(frame, 3) & AT_SYMLINK_NOFOLLOW);
}

bool path_may_serve(uint64_t number)
{
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return true;
    return number == SYS_readlink || number == SYS_readlinkat;
}

bool path_serve(struct thread *thread, ucontext_t *frame, long *result)
{
    uint64_t number = call_number(frame), before[6];
    bool is_readlink = number == SYS_readlink, is_readlinkat = number == SYS_readlinkat;
    if ((is_readlink && path_is_own_program(argument(frame, 0))) ||
        (is_readlinkat && path_is_own_program(argument(frame, 1)))) {
        *result = read_link(argument(frame, is_readlink ? 1 : 2), argument(frame, is_readlink ? 2 : 3));
        return true;
    }
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        int place = calls[i].path;
        if (calls[i].number != number || !path_is_own_program(argument(frame, place)) || sees_link(number, frame))
            continue;
        for (int j = 0; j < 6; j++)
            before[j] = argument(frame, j);
        set(frame, argument_registers[place], (uint64_t)(uintptr_t)settings.real_path);
        calls_pass(thread, frame, before);
        return false;
    }
    return false;
}
