/* identity.c: see platform/identity.h.
 *
 * Which process prepared stands in a page that the kernel wipes in a child that has a copy of the memory, and leaves in
 * one that shares it. So a wiped page tells of a raw fork, and a page that names another process than getpid(2) of a
 * process that shares the memory.
 *
 * A thread's number is read where the C library keeps it, so that a thread's first fault makes no system call. glibc
 * exports the place for debuggers: `_thread_db_pthread_tid` is {bits, elements, offset} of the member of struct
 * pthread, which platform_thread_self leads to. The number found there is compared with gettid(2) once. Where it differs, or nothing
 * is exported (musl, static programs), a thread that was not attached asks the kernel at its first fault.
 *
 * SOURCES: glibc nptl_db/structs.def, nptl/descr.h (header.self); madvise(2) MADV_WIPEONFORK; tkill(2), tgkill(2) (in
 * the caller's namespace); kcmp(2) KCMP_VM. ASSUMPTIONS: a thread that the C library did not make has no copy of
 * another's struct pthread, or attaches. */
#if !defined(__linux__)
#error "platform/linux/identity.c is specific to Linux"
#endif

#include "platform/identity.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stddef.h>
#include <sys/stat.h>

#include "call.h"
#include "decode/x86/page.h"
#include "platform/forced.h"
#include "platform/memory.h"
#include "platform/thread.h"


/* What the page holds. */
struct home {
    /* The process that prepared; 0 where the page was wiped. */
    uint64_t process;
    /* Its PID namespace; 0 where /proc did not show it. */
    uint64_t namespace;
};

/* Before identity_prepare, and where the system does not wipe pages. */
static struct home unprepared;
static struct home *home = &unprepared;

/* The page was wiped without fork handlers: what else looks like ours may be the parent's. */
static bool forked_raw;

/* Of the thread's number from the thread pointer; 0 where it is not known. */
static size_t number_offset;

__thread struct identity_self identity_self;

/* What identity_prepare was given. */
static void (*renamed)(int before, struct identity self);

static struct home *page_of_home(void)
{
    return __atomic_load_n(&home, __ATOMIC_ACQUIRE);
}

static uint64_t own_namespace(void)
{
    struct stat status;
    if (system_call3(SYS_stat, (long)"/proc/self/ns/pid", (long)&status, 0) != 0)
        return 0;
    return status.st_ino;
}

static void note_home(void)
{
    struct home *page = page_of_home();
    __atomic_store_n(&page->namespace, own_namespace(), __ATOMIC_RELAXED);
    __atomic_store_n(&page->process, (uint64_t)platform_process_id(), __ATOMIC_RELEASE);
}

static int number_in_thread_block(size_t offset)
{
    const char *block = platform_thread_self();
    return __atomic_load_n((const int *)(const void *)(block + offset), __ATOMIC_RELAXED);
}

static void find_number_offset(void)
{
    const uint32_t *member = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid");
    if (!member || member[0] != 32 || member[1] != 1 || member[2] > PAGE ||
        number_in_thread_block(member[2]) != platform_thread_id())
        return;
    __atomic_store_n(&number_offset, member[2], __ATOMIC_RELEASE);
}

void identity_prepare(void (*on_rename)(int before, struct identity self))
{
    __atomic_store_n(&renamed, on_rename, __ATOMIC_RELEASE);
    if (page_of_home()->process)
        return;
    void *page = platform_map(PAGE);
    if (page && platform_wipe_on_fork(page, PAGE))
        __atomic_store_n(&home, page, __ATOMIC_RELEASE);
    note_home();
    find_number_offset();
}

/* The process whose threads are ours, also right after a raw fork. */
static uint64_t home_process(void)
{
    struct home *page = page_of_home();
    uint64_t process = __atomic_load_n(&page->process, __ATOMIC_ACQUIRE);
    if (process || page == &unprepared)
        return process;
    __atomic_store_n(&forked_raw, true, __ATOMIC_RELEASE);
    note_home();
    forced_leave_parent();
    return __atomic_load_n(&page->process, __ATOMIC_ACQUIRE);
}

static enum identity_group group_of_self(uint64_t process)
{
    uint64_t namespace = __atomic_load_n(&page_of_home()->namespace, __ATOMIC_RELAXED);
    if ((uint64_t)platform_process_id() == process)
        return IDENTITY_OWN;
    return namespace && own_namespace() == namespace ? IDENTITY_SHARES : IDENTITY_FAR;
}

static struct identity ask_kernel(uint64_t process)
{
    return (struct identity){platform_thread_id(), process ? group_of_self(process) : IDENTITY_OWN};
}

/* The first thread of a raw fork's child may have forked inside a policy: its faults in progress are in the child, too,
 * and noted under the number that it had in the parent. */
static void ask_kernel_anew(uint64_t process)
{
    int before = identity_self.identity.number;
    identity_self.identity = ask_kernel(process);
    if (before && __atomic_load_n(&forked_raw, __ATOMIC_ACQUIRE) &&
        (uint64_t)identity_self.identity.number == process)
        renamed(before, identity_self.identity);
}

struct identity identity_of_self(void)
{
    uint64_t process = home_process();
    if (identity_self.identity.number && identity_self.process == process)
        return identity_self.identity;
    size_t offset = __atomic_load_n(&number_offset, __ATOMIC_ACQUIRE);
    int number = offset && !__atomic_load_n(&forked_raw, __ATOMIC_ACQUIRE) ? number_in_thread_block(offset) : 0;
    /* A number from before a fork would be the parent's. */
    if (number > 0 && !identity_self.identity.number)
        identity_self.identity = (struct identity){number, IDENTITY_OWN};
    else
        ask_kernel_anew(process);
    identity_self.process = (uint32_t)process;
    return identity_self.identity;
}

/* Several fork handlers call it: the first counts. */
void identity_in_child(void)
{
    uint64_t process = (uint64_t)platform_process_id();
    if (identity_self.process == process && page_of_home()->process == process)
        return;
    note_home();
    forked_raw = false;
    identity_self.number_before_fork = identity_self.identity.number;
    identity_self.identity = ask_kernel(process);
    identity_self.process = (uint32_t)process;
}

bool identity_is_own_process(void)
{
    return (uint64_t)platform_process_id() == home_process();
}

/* As the kernel says, or -1 where it does not: 0 the same memory, 1 and 2 another. */
static long compare_memory(int one, int other)
{
    long result = system_call4(SYS_kcmp, one, other, KCMP_VM, 0);
    return result >= 0 ? result : -1;
}

/* Of another thread group than the caller's, in the caller's namespace: the number may have been given again. */
static bool is_gone_elsewhere(int number)
{
    if (system_call3(SYS_tkill, number, 0, 0) == -ESRCH)
        return true;
    long difference = compare_memory(platform_process_id(), number);
    return difference > 0 || (difference < 0 && __atomic_load_n(&forked_raw, __ATOMIC_ACQUIRE));
}

bool identity_is_gone(struct identity thread)
{
    uint64_t process = home_process();
    int own = platform_process_id();
    if (thread.number == platform_thread_id() && thread.group == IDENTITY_OWN &&
        (uint64_t)own == process)
        return false;
    if (thread.group == IDENTITY_FAR)
        return false;
    /* Without a process that is known there is nothing that it could be mistaken for. */
    if (process && (uint64_t)own != process) {
        /* We share its memory. If its number names it here, so do its threads' numbers. */
        return compare_memory(own, (int)process) == 0 && is_gone_elsewhere(thread.number);
    }
    long result = system_call3(SYS_tgkill, own, thread.number, 0);
    if (result != -ESRCH)
        return false;
    return thread.group == IDENTITY_OWN || is_gone_elsewhere(thread.number);
}
