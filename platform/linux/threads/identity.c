/* identity.c: see platform/threads/identity.h.
 *
 * The kernel wipes the page that names the prepared process in a child that has a copy of the memory, and keeps it in a
 * child that shares the memory. So a wiped page shows a raw fork; and if the page names another process than getpid(2),
 * the caller is in a process that shares the memory.
 *
 * A thread's TID is read where the C library keeps it, so that a thread's first fault makes no system call. glibc
 * exports the offset for debuggers: `_thread_db_pthread_tid` is {bits, elements, offset} of the member of struct
 * pthread, to which platform_thread_self points. The TID found there is compared with gettid(2) once. If it differs, or
 * nothing is exported (musl, static programs), a thread that was not attached asks the kernel at its first fault.
 *
 * SOURCES: glibc nptl_db/structs.def, nptl/descr.h (header.self); madvise(2) MADV_WIPEONFORK; tkill(2), tgkill(2) (in
 * the caller's namespace); kcmp(2) KCMP_VM. ASSUMPTIONS: a thread that the C library did not make has no copy of
 * another's struct pthread, or attaches. */
#if !defined(__linux__)
#error "platform/linux/threads/identity.c is specific to Linux"
#endif

#include "platform/threads/identity.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stddef.h>
#include <sys/stat.h>

#include "decode/x86/page.h"
#include "platform/linux/call.h"
#include "platform/memory/forced.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"

/* The content of that page. */
struct home {
    /* The process that called identity_prepare; 0 if the page was wiped. */
    uint64_t process;
    /* Its PID namespace; 0 if /proc did not show it. */
    uint64_t namespace;
};

/* Used before identity_prepare, and if the system does not wipe pages. */
static struct home unprepared;
static struct home *home = &unprepared;

/* The page was wiped without fork handlers: other records of this process may be the parent's. */
static bool forked_raw;

/* The TID's offset from the thread pointer; 0 if it is not known. */
static size_t number_offset;

__thread struct identity_self identity_self;

/* The argument of identity_prepare. */
static void (*renamed)(int before, struct identity self);

static struct home *page_of_home(void)
{
    return __atomic_load_n(&home, __ATOMIC_ACQUIRE);
}

static uint64_t own_namespace(void)
{
    struct stat64 status;
    if (system_call3(CALL_STAT, (long)"/proc/self/ns/pid", (long)&status, 0) != 0)
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

void identity_of_others(void)
{
    __atomic_store_n(&number_offset, 0, __ATOMIC_RELEASE);
}

/* The process that the recorded threads belong to, also right after a raw fork. */
__attribute__((hot)) static uint64_t home_process(void)
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

/* The first thread of a raw fork's child may have forked inside a policy: the child has its faults in progress, too,
 * recorded under the TID that it had in the parent. */
static void ask_kernel_anew(uint64_t process)
{
    int before = identity_self.identity.number;
    identity_self.identity = ask_kernel(process);
    if (before && __atomic_load_n(&forked_raw, __ATOMIC_ACQUIRE) && (uint64_t)identity_self.identity.number == process)
        renamed(before, identity_self.identity);
}

__attribute__((hot)) struct identity identity_of_self(void)
{
    uint64_t process = home_process();
    if (identity_self.identity.number && identity_self.process == process)
        return identity_self.identity;
    size_t offset = __atomic_load_n(&number_offset, __ATOMIC_ACQUIRE);
    int number = offset && !__atomic_load_n(&forked_raw, __ATOMIC_ACQUIRE) ? number_in_thread_block(offset) : 0;
    /* A TID from before a fork would be the parent's. */
    if (number > 0 && !identity_self.identity.number)
        identity_self.identity = (struct identity){number, IDENTITY_OWN};
    else
        ask_kernel_anew(process);
    identity_self.process = (uint32_t)process;
    return identity_self.identity;
}

/* Several fork handlers call it: the first call counts. */
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

/* The kernel's answer, or -1 if it refuses one: 0 the same memory, 1 and 2 another. */
static long compare_memory(int one, int other)
{
    long result = system_call4(SYS_kcmp, one, other, KCMP_VM, 0);
    return result >= 0 ? result : -1;
}

/* For a TID of another thread group, valid in the caller's namespace: the kernel may have reused the TID. */
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
    if (thread.number == platform_thread_id() && thread.group == IDENTITY_OWN && (uint64_t)own == process)
        return false;
    if (thread.group == IDENTITY_FAR)
        return false;
    /* If the prepared process is not known, the caller cannot be distinguished from it, and counts as part of it. */
    if (process && (uint64_t)own != process) {
        /* This process shares that one's memory. If its PID is valid here, so are its threads' TIDs. */
        return compare_memory(own, (int)process) == 0 && is_gone_elsewhere(thread.number);
    }
    long result = system_call3(SYS_tgkill, own, thread.number, 0);
    if (result != -ESRCH)
        return false;
    return thread.group == IDENTITY_OWN || is_gone_elsewhere(thread.number);
}
