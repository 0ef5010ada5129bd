/* memory_x86_64.c: calls that name memory by a process's number, or by a descriptor, and not by a pointer.
 *
 * SOURCES: process_vm_readv(2) (a thread's number will do); proc(5): /proc/PID/mem, /proc/PID/fd. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "memory_x86_64.c is specific to Linux on x86-64"
#endif

#include <segue/region.h>
#include <sys/syscall.h>

#include "gates.h"
#include "platform/linux/threads/path.h"

/* "/proc/thread-self/fd/" or "/proc/", a number, "/task/", another, "/mem". */
#define NAME 64u

static SEGUE_HOT_POLICY uint32_t own_number(void)
{
    return (uint32_t)calls_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

SEGUE_HOT_POLICY bool calls_is_own_process(uint32_t number)
{
    const uint32_t own = own_number();
    return (int32_t)number > 0 && (number == own || calls_call(SYS_tgkill, own, (long)number, 0, 0, 0, 0) == 0);
}

/* What the name goes on with behind the text; NULL if it does not begin so. */
static SEGUE_HOT_POLICY const char *behind(const char *name, const char *text)
{
    while (*text && *name == *text) {
        name++;
        text++;
    }
    return *text ? NULL : name;
}

static SEGUE_HOT_POLICY bool is_memory(const char *name)
{
    const char *rest = behind(name, "/mem");
    return rest && !*rest;
}

/* A descriptor that came from a parent names the parent, whose memory it is of. */
SEGUE_HOT_POLICY bool calls_is_own_memory(uint32_t descriptor)
{
    char link[NAME], name[NAME], own[NAME];
    *path_put_number(path_put(link, "/proc/thread-self/fd/"), descriptor) = 0;
    *path_put_number(path_put(own, "/proc/"), own_number()) = 0;
    const long length = calls_call(SYS_readlink, (long)link, (long)name, NAME - 1, 0, 0, 0);
    if (length <= 0)
        return false;
    name[length] = 0;
    const char *rest = behind(name, own);
    const char *thread = rest ? behind(rest, "/task/") : NULL;
    while (thread && *thread >= '0' && *thread <= '9')
        thread++;
    return rest && (is_memory(rest) || (thread && is_memory(thread)));
}
