/* probe_kernel_linux.c: what the kernel lets this process do, found out by doing it.
 *
 * SOURCES: the manual pages of the calls; Linux Documentation/admin-guide/sysctl/vm.rst,
 * Documentation/admin-guide/syscall-user-dispatch.rst, Documentation/arch/x86/shstk.rst. */
#if !defined(__linux__)
#error "probe_kernel_linux.c is specific to Linux"
#endif

#include <Zydis/Zydis.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <segue/status.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

/* Not in the C library's headers yet. */
#ifndef ARCH_SHSTK_STATUS
#define ARCH_SHSTK_STATUS 0x5005
#endif
#ifndef ARCH_SHSTK_SHSTK
#define ARCH_SHSTK_SHSTK 1ul
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

static void failed(struct finding *finding, const char *what)
{
    finding_detail(finding, "%s: %s", what, strerror(errno));
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void *new_page(int protection)
{
    return mmap(NULL, page_size(), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The number in a file under /proc/sys; -1 where it cannot be read. */
static int64_t setting(const char *path)
{
    long long value = -1;
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%lld", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

static void look_at_kernel(struct finding *finding)
{
    struct utsname name;
    if (uname(&name) != 0) {
        failed(finding, "uname");
        finding->answer = ANSWER_UNKNOWN;
        return;
    }
    finding->answer = ANSWER_FACT;
    finding_detail(finding, "%s %s %s", name.sysname, name.release, name.machine);
}

static void look_at_evidence(struct finding *finding)
{
    finding->answer = ANSWER_FACT;
    finding_detail(finding, "the tests run on Linux itself");
}

static void look_at_zydis(struct finding *finding)
{
    ZyanU64 version = ZydisGetVersion();
    finding->answer = ANSWER_FACT;
    finding_detail(finding, "%u.%u.%u", ZYDIS_VERSION_MAJOR(version), ZYDIS_VERSION_MINOR(version),
                   ZYDIS_VERSION_PATCH(version));
}

/* Writes through one mapping of a file in memory and reads through another. */
static bool maps_twice(int file)
{
    size_t size = page_size();
    struct rlimit longest;
    errno = EFBIG;
    /* A longer file than is allowed would cost a signal. */
    if (getrlimit(RLIMIT_FSIZE, &longest) != 0 || longest.rlim_cur < size || ftruncate(file, (off_t)size) != 0)
        return false;
    volatile int *one = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    volatile int *other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    bool same = false;
    if (one != MAP_FAILED && other != MAP_FAILED) {
        *one = 0x5e90e;
        same = *other == 0x5e90e;
    }
    if (one != MAP_FAILED)
        munmap((void *)one, size);
    if (other != MAP_FAILED)
        munmap((void *)other, size);
    return same;
}

static void look_at_memfd(struct finding *finding)
{
    int file = memfd_create("segue doctor", MFD_CLOEXEC);
    if (file < 0) {
        failed(finding, "memfd_create");
        return;
    }
    if (maps_twice(file)) {
        finding->answer = ANSWER_YES;
        finding_detail(finding, "two mappings of a memory file show the same bytes");
    } else {
        failed(finding, "a memory file cannot be mapped twice");
    }
    close(file);
}

/* The library's own way to it. */
static void look_at_executable_memory(struct finding *finding)
{
    if (segue_feature_check(SEGUE_FEATURE_REPLAY) != SEGUE_OK) {
        finding_detail(finding, "%s", segue_reason());
        return;
    }
    finding->answer = ANSWER_YES;
    finding_detail(finding, "memory is mapped to be executed, and elsewhere to be written");
}

static const struct {
    int command;
    const char *name;
} membarrier_commands[] = {
    {MEMBARRIER_CMD_GLOBAL, "global"},
    {MEMBARRIER_CMD_GLOBAL_EXPEDITED, "global_expedited"},
    {MEMBARRIER_CMD_PRIVATE_EXPEDITED, "private_expedited"},
    {MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, "private_expedited_sync_core"},
    {MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, "private_expedited_rseq"},
};

/* Registering for SYNC_CORE lasts until the process ends, and changes nothing else. */
static void look_at_membarrier(struct finding *finding)
{
    long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    char names[120] = "";
    if (offered < 0) {
        failed(finding, "membarrier");
        return;
    }
    for (size_t i = 0; i < sizeof membarrier_commands / sizeof *membarrier_commands; i++)
        if (offered & membarrier_commands[i].command) {
            strcat(names, *names ? " " : "");
            strcat(names, membarrier_commands[i].name);
        }
    finding->value = offered;
    bool works = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0 &&
                 syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0;
    finding->answer = works ? ANSWER_YES : ANSWER_NO;
    finding_detail(finding, "sync_core %s; offered: %s", works ? "works" : "does not work", *names ? names : "none");
}

/* Whether a closed page can be written by way of the file, and then holds what was written. */
static bool writes_past_protection(int file, char *page)
{
    static const char written[] = "segue";
    char read_back[sizeof written];
    off_t at = (off_t)(uintptr_t)page;
    return pwrite(file, written, sizeof written, at) == sizeof written &&
           pread(file, read_back, sizeof read_back, at) == sizeof read_back &&
           memcmp(written, read_back, sizeof written) == 0 && mprotect(page, page_size(), PROT_READ) == 0 &&
           memcmp(written, page, sizeof written) == 0;
}

static void look_at_process_memory(struct finding *finding)
{
    int file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    char *page = new_page(PROT_NONE);
    if (file < 0) {
        failed(finding, "/proc/self/mem");
    } else if (page != MAP_FAILED && writes_past_protection(file, page)) {
        finding->answer = ANSWER_YES;
        finding_detail(finding, "a PROT_NONE page was written and read back");
    } else {
        failed(finding, "a PROT_NONE page cannot be written");
    }
    if (page != MAP_FAILED)
        munmap(page, page_size());
    if (file >= 0)
        close(file);
}

/* Switched on with every system call let through, and off again. */
static void look_at_syscall_user_dispatch(struct finding *finding)
{
    static volatile char let_through = 0;
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0ul, 0ul, &let_through) != 0) {
        failed(finding, "prctl");
        return;
    }
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0ul, 0ul, 0ul) != 0) {
        failed(finding, "it was switched on, but not off");
        return;
    }
    finding->answer = ANSWER_YES;
    finding_detail(finding, "switched on and off");
}

/* The other way to catch system calls. */
static void look_at_call_sites(struct finding *finding)
{
    if (segue_feature_check(SEGUE_FEATURE_CALL_SITES) != SEGUE_OK) {
        finding_detail(finding, "%s", segue_reason());
        return;
    }
    finding->answer = ANSWER_YES;
    finding_detail(finding, "%s",
                   segue_feature_check(SEGUE_FEATURE_SYSTEM_CALLS) == SEGUE_OK
                       ? "not used by `segue watch`: there is syscall user dispatch"
                       : "used by `segue watch`: there is no syscall user dispatch");
}

/* What the kernel's faults can do; also proves that the descriptor is more than a number. */
static bool userfaultfd_features(int file, char *text, size_t size)
{
    struct uffdio_api api = {.api = UFFD_API};
    if (ioctl(file, UFFDIO_API, &api) != 0)
        return false;
    snprintf(text, size, "%s%s", api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP ? ", write protection" : "",
             api.features & UFFD_FEATURE_WP_ASYNC ? ", asynchronous too" : "");
    return true;
}

static void look_at_userfaultfd(struct finding *finding)
{
    char features[64] = "";
    int64_t unprivileged = setting("/proc/sys/vm/unprivileged_userfaultfd");
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    bool user_only = file < 0 && errno == EPERM;
    if (user_only)
        file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (file < 0) {
        finding_detail(finding, "%s%s", strerror(errno),
                       errno == EPERM && unprivileged == 0 ? "; vm.unprivileged_userfaultfd is 0" : "");
        return;
    }
    if (userfaultfd_features(file, features, sizeof features)) {
        finding->answer = ANSWER_YES;
        finding_detail(finding, "%s%s",
                       user_only ? "faults of user code only (vm.unprivileged_userfaultfd is 0)"
                                 : "faults of user code and of system calls",
                       features);
    } else {
        failed(finding, "UFFDIO_API");
    }
    close(file);
}

static void look_at_keys(struct finding *finding)
{
    int key = pkey_alloc(0, 0);
    if (key < 0) {
        failed(finding, "pkey_alloc");
        return;
    }
    if (pkey_free(key) != 0) {
        failed(finding, "pkey_free");
        return;
    }
    finding->answer = ANSWER_YES;
    finding_detail(finding, "a protection key was allocated and freed");
}

/* Whether a child made by fork finds `page` wiped. */
static bool child_finds_zero(const volatile char *page)
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0)
        _exit(*page ? 1 : 0);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void look_at_wipe_on_fork(struct finding *finding)
{
    char *page = new_page(PROT_READ | PROT_WRITE);
    if (page == MAP_FAILED) {
        failed(finding, "mmap");
        return;
    }
    *page = 1;
    if (madvise(page, page_size(), MADV_WIPEONFORK) != 0) {
        failed(finding, "madvise");
    } else if (child_finds_zero(page)) {
        finding->answer = ANSWER_YES;
        finding_detail(finding, "a forked child found the page wiped");
    } else {
        finding_detail(finding, "a forked child found the page as it was");
    }
    munmap(page, page_size());
}

static void look_at_shadow_stack(struct finding *finding)
{
    uint64_t status = 0;
    if (syscall(SYS_arch_prctl, ARCH_SHSTK_STATUS, &status) != 0) {
        failed(finding, "the kernel offers none here");
        return;
    }
    finding->answer = status & ARCH_SHSTK_SHSTK ? ANSWER_YES : ANSWER_NO;
    finding_detail(finding, "%s in this process", status & ARCH_SHSTK_SHSTK ? "in force" : "not in force");
}

static void look_at_setting(struct finding *finding, const char *path, const char *unit)
{
    finding->value = setting(path);
    if (finding->value < 0) {
        finding->answer = ANSWER_UNKNOWN;
        finding_detail(finding, "%s cannot be read", path);
        return;
    }
    finding->answer = ANSWER_FACT;
    finding_detail(finding, "%lld %s", (long long)finding->value, unit);
}

static void look_at_map_count(struct finding *finding)
{
    look_at_setting(finding, "/proc/sys/vm/max_map_count", "mappings for a process");
}

static void look_at_lowest_address(struct finding *finding)
{
    look_at_setting(finding, "/proc/sys/vm/mmap_min_addr", "is the lowest address that may be mapped");
}

static const struct probe list[] = {
    {"kernel", look_at_kernel, "what follows was tried on it, not concluded from its number", NULL},
    {"evidence", look_at_evidence,
     "also run: Windows programs under Wine; macOS and FreeBSD only under loaders of the tests (docs/platforms.md)",
     NULL},
    {"zydis", look_at_zydis, "decodes; the known defects of 4.0.0 are corrected", NULL},
    {"memfd_create", look_at_memfd, "memory with two views where the system accounts shared memory in advance",
     "nothing is lost unless vm.overcommit_memory is 2"},
    {"executable_memory", look_at_executable_memory, "instructions can be replayed from a copy",
     "only the move engine, which needs none"},
    {"membarrier", look_at_membarrier, "code that is rewritten at run time can be made known to all threads at once",
     "code is rewritten only where one store does it"},
    {"proc_self_mem", look_at_process_memory, "forced windows: private memory is reached past its protection",
     "no forced windows: a region needs a second mapping, or is opened"},
    {"syscall_user_dispatch", look_at_syscall_user_dispatch,
     "system calls are caught by it: `segue run`, and SEGUE_INSTALL_SYSTEM_CALLS for pointers into regions",
     "no `segue run`, and a system call with a pointer into a region fails (EFAULT), except at call_sites"},
    {"call_sites", look_at_call_sites,
     "SEGUE_INSTALL_CALL_SITES replaces them where there is no dispatch; missed: calls of code that is loaded or made "
     "later",
     "without dispatch, a system call with a pointer into a region fails (EFAULT)"},
    {"userfaultfd", look_at_userfaultfd, "not used: it holds back writes only, and a region is closed to reads as well",
     "not used, so nothing is lost"},
    {"pkeys", look_at_keys, "steps and handlers keep the thread's rights to keys; a key may protect a region",
     "nothing is lost: regions are closed to all threads"},
    {"madv_wipeonfork", look_at_wipe_on_fork, "forced windows know when they are in a forked child",
     "no forced windows"},
    {"shadow_stack", look_at_shadow_stack, "a handler is left by returning only",
     "a handler may also be left without a system call"},
    {"max_map_count", look_at_map_count, "each border between open and closed pages costs a mapping of these", NULL},
    {"mmap_min_addr", look_at_lowest_address, "a region or a guest's memory cannot begin below it", NULL},
};

const struct probes kernel_probes = {list, sizeof list / sizeof *list};
