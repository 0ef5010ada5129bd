/* forced.c: accesses memory past its protection through /proc/thread-self/mem.
 *
 * Two events make an open descriptor wrong. A child made by fork inherits one for its parent's memory: so the
 * descriptor is stored in a page that the kernel wipes in the child; the child closes it, in the library's first fork
 * handler or in the first call here, and opens its own. A program that closes all its descriptors and opens others may
 * get the same number for a file of its own: so the file is identified before each use.
 *
 * Processes that share memory may have separate descriptors (CLONE_VM without CLONE_FILES). One descriptor is kept for
 * all of them, the first one's, as long as that process lives: a process that does not have it opens the file for each
 * access and closes it again, as does one without a spare descriptor. Otherwise they would replace it in turn, and each
 * one's file would stay open.
 *
 * The kernel checks the permission when the file is opened: a process that has changed its user may use the one that it
 * has open, but cannot open another. A child of such a process reaches its memory as long as it has one thread
 * (opened.h).
 *
 * SOURCES: proc(5), prctl(2) PR_SET_DUMPABLE, madvise(2) MADV_WIPEONFORK, Linux fs/proc/base.c mem_rw, task_dump_owner
 * and mm/gup.c FOLL_FORCE.
 * ASSUMPTIONS: reading and writing through /proc/PID/mem reaches private memory whatever its protection; a kernel may
 * forbid that (proc_mem.force_override), and then forced_prepare says so. */
#if !defined(__linux__)
#error "platform/linux/memory/forced.c is specific to Linux"
#endif

#include "platform/memory/forced.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kept_file.h"
#include "opened.h"
#include "platform/linux/call.h"
#include "platform/memory/mappings.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/threads/thread.h"

/* The open file in one word (kept_file.h), so that it is published atomically. Zero: this process has none open. The
 * word has a page of its own, with the process that published it behind it. */
static uint64_t *file;
#define OWNER 1
/* How often the word was replaced in a process: a program that closes all descriptors does so a few times. If threads
 * of one process have separate descriptors (unshare), the owner does not distinguish them, and this bounds what stays
 * open. */
#define REPLACED_MOST 16
static unsigned replaced;
/* The last word that was published, by this process or by an ancestor. */
static uint64_t last_file;
/* How many files threads have begun to open, and how many of them they have published or closed again; and both as
 * they were before the fork in progress, which copies descriptors and memory one after the other. */
static uint64_t opened, settled;
static uint64_t opened_before_fork, settled_before_fork;
static struct fork_lock forking = FORK_LOCK_INITIALIZER;

/* O_NONBLOCK and O_DSYNC mean nothing for this file: they distinguish the library's descriptor from the program's. */
#define MARK (O_NONBLOCK | O_DSYNC)
/* The range of descriptors that is searched for a file that was not published. */
#define DESCRIPTORS_SEARCHED 65536

/* Through the thread's entry: the process's own entry is invalid once its first thread has ended. */
static int open_marked(void)
{
    return (int)system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/mem", O_RDWR | O_CLOEXEC | MARK, 0);
}

static bool is_marked(int descriptor)
{
    long flags = system_call3(SYS_fcntl, descriptor, F_GETFL, 0);
    return flags >= 0 && (flags & (O_ACCMODE | MARK)) == (O_RDWR | MARK);
}

/* A descriptor for one access. If it is momentary, it is closed afterwards, and signals are blocked until then, so
 * that no handler forks in between. */
struct use {
    int descriptor;
    bool is_momentary;
    uint64_t signals;
};

static uint64_t own_number(void)
{
    return (uint64_t)system_call3(SYS_getpid, 0, 0, 0);
}

/* Whether the word `stale`, whose file this process does not have, may be replaced: no other process uses it. */
static bool may_replace(uint64_t stale)
{
    uint64_t owner = __atomic_load_n(file + OWNER, __ATOMIC_RELAXED), own = own_number();
    if (!stale || system_call3(SYS_kill, (long)owner, 0, 0) == -ESRCH)
        return true;
    return owner == own && __atomic_fetch_add(&replaced, 1, __ATOMIC_RELAXED) < REPLACED_MOST;
}

/* Publishes the file in place of the word `stale`; false if another thread was first. */
static bool publish(int descriptor, uint64_t stale)
{
    uint64_t word = kept_file_word(descriptor);
    if (!word || !__atomic_compare_exchange_n(file, &stale, word, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return false;
    __atomic_store_n(file + OWNER, own_number(), __ATOMIC_RELAXED);
    __atomic_store_n(&last_file, word, __ATOMIC_RELEASE);
    return true;
}

static void end_use(const struct use *use)
{
    if (!use->is_momentary)
        return;
    kept_file_close(use->descriptor);
    __atomic_fetch_add(&settled, 1, __ATOMIC_SEQ_CST);
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&use->signals, 0, sizeof use->signals);
}

/* Opens the file, and keeps it in place of the word `stale` if that may be replaced. */
static struct use open_memory_file(uint64_t stale)
{
    uint64_t all = UINT64_MAX;
    struct use use = {.is_momentary = true};
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&use.signals, sizeof all);
    __atomic_fetch_add(&opened, 1, __ATOMIC_SEQ_CST);
    use.descriptor = open_marked();
    int high = use.descriptor >= 0 && may_replace(stale) ? kept_file_lift(use.descriptor) : -1;
    if (high >= 0 && publish(high, stale)) {
        end_use(&use);
        return (struct use){.descriptor = high};
    }
    if (high >= 0)
        kept_file_close(high);
    if (use.descriptor >= 0)
        return use;
    end_use(&use);
    return (struct use){.descriptor = -1};
}

/* In a child: closes files that other threads of the parent had opened and not yet published. */
static void close_unpublished(void)
{
    struct rlimit64 limit;
    struct stat64 status;
    long most = DESCRIPTORS_SEARCHED;
    if (system_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) == 0 && limit.rlim_cur < (rlim64_t)most)
        most = (long)limit.rlim_cur;
    for (int i = 0; i < (int)most; i++)
        if (is_marked(i) && system_call3(CALL_FSTAT, i, (long)&status, 0) == 0 &&
            (status.st_mode & S_IFMT) == S_IFREG && status.st_size == 0)
            kept_file_close(i);
}

/* In a child that has opened none yet: closes its parent's, but not one that another thread has opened meanwhile. */
static void close_parents(void)
{
    uint64_t word = __atomic_load_n(&last_file, __ATOMIC_ACQUIRE);
    if (!word || word == __atomic_load_n(file, __ATOMIC_ACQUIRE) ||
        !__atomic_compare_exchange_n(&last_file, &word, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    if (kept_file_word(kept_file_of(word)) == word)
        kept_file_close(kept_file_of(word));
}

/* The descriptor that was identified, plus 1, while no other thread runs. */
static int held;

/* Ends with end_use. */
static struct use begin_use(void)
{
    if (held)
        return (struct use){.descriptor = held - 1};
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE))
        return (struct use){.descriptor = -1};
    uint64_t word = __atomic_load_n(file, __ATOMIC_ACQUIRE);
    if (word && kept_file_word(kept_file_of(word)) == word)
        return (struct use){.descriptor = kept_file_of(word)};
    if (!word)
        close_parents();
    return open_memory_file(word);
}

void forced_hold(void)
{
    struct use use = begin_use();
    if (use.descriptor < 0)
        return;
    if (use.is_momentary)
        end_use(&use);
    else
        held = use.descriptor + 1;
}

void forced_let_go(void)
{
    held = 0;
}

static bool can_open(void)
{
    struct use use = begin_use();
    end_use(&use);
    return use.descriptor >= 0;
}

static void before_fork(void)
{
    fork_lock_before(&forking);
    settled_before_fork = __atomic_load_n(&settled, __ATOMIC_SEQ_CST);
    opened_before_fork = __atomic_load_n(&opened, __ATOMIC_SEQ_CST);
}

static void after_fork_in_parent(void)
{
    fork_lock_after(&forking);
}

static bool may_have_unpublished(void)
{
    return settled_before_fork != opened_before_fork || opened_before_fork != opened;
}

static void after_fork_in_child(void)
{
    if (may_have_unpublished())
        close_unpublished();
    settled = opened;
    forced_in_child();
    fork_lock_in_child(&forking);
}

void forced_leave_parent(void)
{
    mappings_leave_parent();
    if (__atomic_load_n(&file, __ATOMIC_ACQUIRE) && !__atomic_load_n(file, __ATOMIC_ACQUIRE))
        close_parents();
}

void forced_in_child(void)
{
    mappings_leave_parent();
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE))
        return;
    bool was_open = __atomic_load_n(&last_file, __ATOMIC_ACQUIRE) != 0;
    forced_leave_parent();
    /* Opened now, while the child is still permitted to. */
    if (was_open)
        can_open();
}

bool forced_ready(void)
{
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE))
        return false;
    /* A cheap check; the access itself checks more closely, which takes longer. */
    uint64_t word = __atomic_load_n(file, __ATOMIC_ACQUIRE);
    if (word && is_marked(kept_file_of(word)))
        return true;
    return can_open() || platform_thread_is_alone();
}

bool forced_read(uint64_t address, void *bytes, size_t size)
{
    struct use use = begin_use();
    if (use.descriptor < 0)
        return __atomic_load_n(&file, __ATOMIC_ACQUIRE) && opened_read(address, bytes, size);
    long done = system_call_at(SYS_pread64, use.descriptor, bytes, size, address);
    end_use(&use);
    return done == (long)size;
}

bool forced_write(uint64_t address, const void *bytes, size_t size)
{
    struct use use = begin_use();
    if (use.descriptor < 0)
        return __atomic_load_n(&file, __ATOMIC_ACQUIRE) && opened_write(address, bytes, size);
    long done = system_call_at(SYS_pwrite64, use.descriptor, bytes, size, address);
    end_use(&use);
    return done == (long)size;
}

/* The file is identified before every so many parts: the program may close it meanwhile, and open another. */
#define PARTS_AT_ONCE 16u

static size_t write_some(const struct forced_part *parts, size_t count)
{
    struct use use = begin_use();
    size_t done = 0;
    while (use.descriptor >= 0 && done < count &&
           system_call_at(SYS_pwrite64, use.descriptor, parts[done].bytes, parts[done].size, parts[done].address) ==
               (long)parts[done].size)
        done++;
    if (use.descriptor >= 0)
        end_use(&use);
    return done;
}

size_t forced_write_parts(const struct forced_part *parts, size_t count)
{
    size_t done = 0;
    while (done < count) {
        size_t some = count - done < PARTS_AT_ONCE ? count - done : PARTS_AT_ONCE;
        size_t written = write_some(parts + done, some);
        done += written;
        /* The other ways of forced_write remain. */
        if (written < some && !forced_write(parts[done].address, parts[done].bytes, parts[done].size))
            return done;
        done += written < some;
    }
    return done;
}

/* Whether a protected page of the library's can be written and read back through the file. */
static bool works(void)
{
    static const char probe[8] = "segue\n\t";
    char copy[sizeof probe] = {0};
    if (!can_open())
        return false;
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool same = forced_write((uintptr_t)page, probe, sizeof probe) && forced_read((uintptr_t)page, copy, sizeof copy) &&
                __builtin_memcmp(probe, copy, sizeof probe) == 0;
    munmap(page, 4096);
    return same;
}

static const struct fork_hooks hooks = {
    .before = before_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

static enum segue_status map_word(void)
{
    uint64_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *none = NULL;
    if (page == MAP_FAILED)
        return SEGUE_NO_MEMORY;
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
        munmap(page, 4096);
        return SEGUE_UNSUPPORTED;
    }
    if (!__atomic_compare_exchange_n(&file, &none, page, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        munmap(page, 4096);
    return SEGUE_OK;
}

enum segue_status forced_prepare(void)
{
    enum segue_status status = SEGUE_OK;
    /* Registered before any file exists that a child must close. */
    if (!fork_register(FORK_FILES, &hooks))
        return SEGUE_NO_MEMORY;
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE))
        status = map_word();
    if (status != SEGUE_OK)
        return status;
    return works() ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

const char *forced_refusal(void)
{
    return "the kernel does not let this process past its own protection: it cannot open /proc/thread-self/mem "
           "(no /proc, another user since it began, no descriptor left), or proc_mem.force_override forbids the access";
}
