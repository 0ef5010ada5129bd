/* look.c: see look.h.
 *
 * SOURCES: proc(5), /proc/PID/task/TID/syscall: "running"; or the system call's number and arguments, the stack pointer
 * and the instruction pointer; or -1 and those two for a thread that waits outside a system call (for a page);
 * /proc/PID/status, SigBlk; /proc/PID/stat, state. Linux fs/proc/base.c proc_pid_syscall: a thread may always read
 * those of its own group. */
#if !defined(__linux__)
#error "platform/linux/threads/look.c is specific to Linux"
#endif

#include "platform/threads/look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "platform/linux/call.h"
#include "platform/linux/threads/path.h"
#include "platform/threads/thread.h"

#define DIRECTORY "/proc/self/task/"
#define PROCESSES "/proc/"

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

struct path {
    char text[64];
};

static struct path path_of(const char *directory, int number, const char *file)
{
    struct path path = {""};
    char *at = path_put_number(path_put(path.text, directory), (uint32_t)number);
    path_put(path_put(at, "/"), file);
    return path;
}

/* The beginning of the file as a string; its length, or less than 0. */
static long read_path(struct path path, char *text, size_t size)
{
    long descriptor = system_call4(SYS_openat, AT_FDCWD, (long)path.text, O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0)
        return descriptor;
    long length = system_call3(SYS_read, descriptor, (long)text, (long)size - 1);
    system_call3(SYS_close, descriptor, 0, 0);
    text[length > 0 ? length : 0] = 0;
    return length;
}

static long read_file(int number, const char *file, char *text, size_t size)
{
    return read_path(path_of(DIRECTORY, number, file), text, size);
}

static uint64_t hexadecimal(const char *text)
{
    uint64_t value = 0;
    for (;; text++) {
        if (*text >= '0' && *text <= '9')
            value = value * 16 + (uint64_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            value = value * 16 + (uint64_t)(*text - 'a' + 10);
        else
            return value;
    }
}

static int number_in(const char *name)
{
    int number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return number;
}

/* The last word of the line but one: 0x, and the stack pointer. */
static const char *before_last(const char *line)
{
    const char *last = strrchr(line, ' '), *at = last;
    while (at && at > line && at[-1] != ' ')
        at--;
    return at && at > line && at[0] == '0' && at[1] == 'x' ? at + 2 : NULL;
}

enum look look_at_thread(int number, uint64_t *stack_pointer)
{
    char line[256];
    if (read_file(number, "syscall", line, sizeof line) <= 0)
        return LOOK_UNKNOWN;
    if (strncmp(line, "running", 7) == 0)
        return LOOK_RUNS;
    const char *digits = before_last(line);
    if (!digits)
        return LOOK_UNKNOWN;
    *stack_pointer = hexadecimal(digits);
    return LOOK_WAITS;
}

bool look_is_in_call(int number)
{
    char line[256];
    return read_file(number, "syscall", line, sizeof line) > 0 && *line >= '0' && *line <= '9';
}

bool look_waits_for_child(int number)
{
    char line[256];
    if (read_file(number, "syscall", line, sizeof line) <= 0)
        return true;
    int call = number_in(line);
    return call == SYS_vfork || call == SYS_clone || call == SYS_clone3;
}

/* The state is behind the name, which may have any characters: a thread that ends is Z until it is reaped, or X. */
bool look_has_ended(int number)
{
    char text[256];
    long length = read_path(path_of(PROCESSES, number, "stat"), text, sizeof text);
    const char *behind = length > 0 ? strrchr(text, ')') : NULL;
    if (length == -ENOENT || length == -ESRCH)
        return true;
    return behind && behind[1] == ' ' && (behind[2] == 'Z' || behind[2] == 'X');
}

bool look_processor_time(int number, uint64_t *nanoseconds)
{
    struct timespec time;
    /* The clock of a thread's processor time: clock_getcpuclockid(3), Linux include/linux/posix-timers.h. */
    long clock = (long)((unsigned)~number << 3 | 6u);
    if (system_call3(SYS_clock_gettime, (int)clock, (long)&time, 0) != 0)
        return false;
    *nanoseconds = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    return true;
}

/* Not by opendir, which allocates: the allocator's memory may be watched, and what accesses it waits for the caller. */
bool look_at_threads(bool (*visit)(int number, void *context), void *context)
{
    _Alignas(8) char entries[2048];
    bool goes_on = true;
    long file = system_call4(SYS_openat, AT_FDCWD, (long)DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), size = 0;
    if (file < 0)
        return false;
    while (goes_on && (size = system_call3(SYS_getdents64, file, (long)entries, sizeof entries)) > 0)
        for (long at = 0; goes_on && at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            const int number = number_in(entry->d_name);
            goes_on = !number || visit(number, context);
            at += entry->d_reclen;
        }
    system_call3(SYS_close, file, 0, 0);
    return size >= 0;
}

struct listed {
    int *numbers;
    unsigned count, most;
};

static bool list(int number, void *context)
{
    struct listed *listed = context;
    if (listed->count++ < listed->most)
        listed->numbers[listed->count - 1] = number;
    return true;
}

unsigned look_list_threads(int *numbers, unsigned most)
{
    struct listed listed = {numbers, 0, most};
    look_at_threads(list, &listed);
    return listed.count;
}

/* Whether a line of the thread's status, which is a set of signals, has that one. */
static bool status_has(int number, const char *field, int signal)
{
    char text[4096];
    if (read_file(number, "status", text, sizeof text) <= 0)
        return false;
    const char *at = strstr(text, field);
    return at && (hexadecimal(at + strlen(field)) >> (signal - 1) & 1);
}

bool platform_thread_blocks(int number, int signal)
{
    return status_has(number, "SigBlk:\t", signal);
}

bool platform_thread_has_pending(int number, int signal)
{
    return status_has(number, "SigPnd:\t", signal);
}
