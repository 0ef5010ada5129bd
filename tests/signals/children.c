/* children.c: what a child has of its parent, and what it is served with, whoever it has become by then. Each case runs
 * in a process of its own, since it changes its user or its root. Without the right to do so, a process that is not
 * dumpable stands for one that has changed its user. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode/host.h"
#include "platform/memory/mappings.h"
#include "tests/support/cases.h"
#include "tests/support/times.h"

#define PAGE 4096u
#define NOBODY 65534u
#define DESCRIPTORS 1100

static volatile long secret = 1;

static volatile char *closed_page(int protection)
{
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, PAGE, protection);
    return page;
}

/* One page behind a forced window; NULL where the kernel has no such way. */
static volatile char *forced_page_with(int protection, segue_policy *policy, void *context)
{
    volatile char *page = closed_page(protection);
    struct segue_region region = {
        .window = {.base = (uintptr_t)page, .size = PAGE, .kind = SEGUE_WINDOW_FORCED},
        .policy = policy,
        .context = context,
    };
    if (segue_install(NULL) != SEGUE_OK)
        abort();
    return segue_region_add(&region) == SEGUE_OK ? page : NULL;
}

static volatile char *forced_page(int protection)
{
    return forced_page_with(protection, NULL, NULL);
}

static void become_nobody(void)
{
    if (geteuid() != 0)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    else if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        abort();
}

/* True if the process has a new root without /proc. It has no name any more: nothing stays of it. */
static bool leave_for_empty_root(void)
{
    char folder[] = "/tmp/segue-root-XXXXXX";
    const int outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool left = mkdtemp(folder) && chroot(folder) == 0 && chdir("/") == 0;
    unlinkat(outside, folder + 1, AT_REMOVEDIR);
    close(outside);
    return left;
}

/* Tries every open descriptor; the number of those that took the store. Asked for in few calls which are open. */
static int stores_through_descriptors(void)
{
    struct pollfd some[100];
    long other = 666;
    int taken = 0;
    for (int first = 3; first < DESCRIPTORS; first += 100) {
        for (int i = 0; i < 100; i++)
            some[i] = (struct pollfd){.fd = first + i};
        if (poll(some, 100, 0) < 0)
            abort();
        for (int i = 0; i < 100; i++)
            if (!(some[i].revents & POLLNVAL))
                taken += pwrite(first + i, &other, sizeof other, (off_t)(uintptr_t)&secret) == (ssize_t)sizeof other;
    }
    return taken;
}

static int exit_of(pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        printf("the child died of signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static pid_t raw_fork(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* ---- what leads to the parent ---- */

/* The child's own descriptor leads to its own memory: of all that take the store, none changes the parent's. */
static int child_reaches_parent(pid_t child)
{
    if (child == 0) {
        become_nobody();
        stores_through_descriptors();
        _exit(0);
    }
    return exit_of(child) || secret != 1;
}

static int fork_leaves_no_way_to_the_parent(void)
{
    return forced_page(PROT_NONE) ? child_reaches_parent(fork()) : CASE_SKIPPED;
}

static int fork_leaves_none_after_segment_patching(void)
{
    struct segue_segment_options options = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    if (segue_install(NULL) != SEGUE_OK || segue_segment_enable(&options) != SEGUE_OK)
        return 1;
    return child_reaches_parent(fork());
}

static int grandchild_has_no_way_to_either(void)
{
    if (!forced_page(PROT_NONE))
        return CASE_SKIPPED;
    pid_t child = fork();
    if (child == 0)
        _exit(child_reaches_parent(fork()));
    return exit_of(child) || secret != 1;
}

static int raw_clone_loses_its_way_with_its_first_fault(void)
{
    volatile char *page = forced_page(PROT_NONE);
    if (!page)
        return CASE_SKIPPED;
    pid_t child = raw_fork();
    if (child == 0) {
        *page = 2;
        become_nobody();
        stores_through_descriptors();
        _exit(*page == 2 ? 0 : 1);
    }
    return exit_of(child) || secret != 1 || *page != 0;
}

/* A fault of any region shows the child that it is a child. */
static int raw_clone_loses_its_way_with_a_fault_of_another_region(void)
{
    struct segue_mapping mapping;
    if (!forced_page(PROT_NONE) || segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK)
        return CASE_SKIPPED;
    struct segue_region region = {
        .window = {
            .base = (uintptr_t)mapping.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    if (segue_region_add(&region) != SEGUE_OK)
        return 1;
    mprotect(mapping.memory, PAGE, PROT_NONE);
    pid_t child = raw_fork();
    if (child == 0) {
        *(volatile char *)mapping.memory = 1;
        become_nobody();
        _exit(stores_through_descriptors());
    }
    return exit_of(child) || secret != 1;
}

static volatile int stop_opening;

static void *open_again_and_again(void *page)
{
    volatile char *byte = page;
    while (!stop_opening) {
        close_range(3, ~0u, 0);
        ++*byte;
    }
    return NULL;
}

/* Another thread's descriptor is open and not yet written down anywhere when the child is made. Were it left to the
 * child, one of the first twelve would show it. */
static int fork_while_the_way_is_opened_leaves_none(void)
{
    volatile char *page = forced_page(PROT_NONE);
    unsigned forks = 200 * test_times();
    int result = 0;
    pthread_t thread;
    if (!page)
        return CASE_SKIPPED;
    /* A child of the library's searches as many as there may be. */
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){DESCRIPTORS, DESCRIPTORS});
    pthread_create(&thread, NULL, open_again_and_again, (void *)page);
    for (unsigned i = 0; i < forks && result == 0; i++) {
        pid_t child = fork();
        if (child == 0) {
            stores_through_descriptors();
            _exit(0);
        }
        result = exit_of(child) || secret != 1;
    }
    stop_opening = 1;
    pthread_join(thread, NULL);
    return result;
}

/* ---- forced windows in a child that may not open its own memory ---- */

static int use_in_child(volatile char *page)
{
    struct mapping before = {0}, after = {0};
    *page = 1;
    mappings_find((uintptr_t)page, &before);
    pid_t child = fork();
    if (child == 0) {
        *page = 3;
        bool stored = *page == 3;
        mappings_find((uintptr_t)page, &after);
        _exit(stored && before.protection == after.protection ? 0 : 1);
    }
    return exit_of(child) || *page != 1;
}

static int forced_window_after_setuid(void)
{
    volatile char *page = forced_page(PROT_NONE);
    if (!page)
        return CASE_SKIPPED;
    become_nobody();
    return use_in_child(page);
}

static int forced_window_that_may_be_read_after_setuid(void)
{
    volatile char *page = forced_page(PROT_READ);
    if (!page)
        return CASE_SKIPPED;
    become_nobody();
    return use_in_child(page);
}

static int forced_window_after_chroot(void)
{
    volatile char *page = forced_page(PROT_NONE);
    if (!page || !leave_for_empty_root())
        return CASE_SKIPPED;
    return use_in_child(page);
}

static int forced_window_after_chroot_and_setuid_in_the_child(void)
{
    volatile char *page = forced_page(PROT_READ);
    if (!page)
        return CASE_SKIPPED;
    pid_t child = fork();
    if (child == 0) {
        if (!leave_for_empty_root())
            _exit(CASE_SKIPPED);
        become_nobody();
        *page = 3;
        _exit(*page == 3 ? 0 : 1);
    }
    return exit_of(child);
}

struct told {
    volatile char *page;
    enum segue_status can_step;
};

static enum segue_verdict open_if_refused(void *context, const struct segue_event *event)
{
    struct told *told = context;
    told->can_step = event->can_step;
    if (event->can_step == SEGUE_OK)
        return SEGUE_STEP;
    mprotect((void *)told->page, PAGE, PROT_READ | PROT_WRITE);
    return SEGUE_RETRY;
}

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

/* Two threads, and no way but one that both would see: the policy learns it, in place of a death. */
static int threads_after_setuid_are_refused_by_the_plan(void)
{
    static struct told told;
    volatile char *page = forced_page_with(PROT_NONE, open_if_refused, &told);
    if (!page)
        return CASE_SKIPPED;
    told.page = page;
    become_nobody();
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        *page = 1;
        if (told.can_step != SEGUE_OK)
            _exit(1);
        pthread_create(&thread, NULL, wait_for_ever, NULL);
        *page = 2;
        _exit(told.can_step == SEGUE_UNSUPPORTED && *page == 2 ? 0 : 2);
    }
    return exit_of(child);
}

/* The same in the process itself, once the program has closed what it may not open again. */
static int closed_descriptor_after_setuid_is_refused_by_the_plan(void)
{
    static struct told told;
    pthread_t thread;
    volatile char *page = forced_page_with(PROT_NONE, open_if_refused, &told);
    if (!page)
        return CASE_SKIPPED;
    told.page = page;
    become_nobody();
    pthread_create(&thread, NULL, wait_for_ever, NULL);
    *page = 1;
    if (told.can_step != SEGUE_OK)
        return 1;
    close_range(3, ~0u, 0);
    *page = 2;
    return told.can_step != SEGUE_UNSUPPORTED || *page != 2;
}

static int region_that_cannot_be_served_is_refused(void)
{
    if (segue_install(NULL) != SEGUE_OK)
        return 1;
    become_nobody();
    struct segue_region region = {
        .window = {.base = (uintptr_t)closed_page(PROT_NONE), .size = PAGE, .kind = SEGUE_WINDOW_FORCED}};
    return segue_region_add(&region) != SEGUE_UNSUPPORTED;
}

/* ---- plans ---- */

static enum segue_status plan_store(volatile char *page, struct segue_regs *regs, struct segue_plan *plan)
{
    static const uint8_t store[] = {0xc6, 0x03, 0x05}; /* mov byte [rbx], 5 */
    struct segue_window window = {.base = (uintptr_t)page, .size = PAGE, .kind = SEGUE_WINDOW_FORCED};
    struct segue_insn insn;
    *regs = (struct segue_regs){.rbx = (uintptr_t)page, .rflags = 2};
    if (segue_decode(HOST_MODE, store, sizeof store, &insn) != SEGUE_OK)
        abort();
    return segue_plan(&insn, regs, NULL, NULL, &window, 1, plan);
}

static int plan_says_yes_only_to_what_is_prepared(void)
{
    static struct segue_plan plan;
    volatile char *page = closed_page(PROT_NONE);
    struct segue_regs regs;
    if (plan_store(page, &regs, &plan) != SEGUE_UNSUPPORTED || !plan.refusal)
        return 1;
    if (segue_forced_prepare() != SEGUE_OK)
        return CASE_SKIPPED;
    if (plan_store(page, &regs, &plan) != SEGUE_OK || segue_step(&plan, &regs, NULL, NULL) != SEGUE_OK)
        return 2;
    mprotect((void *)page, PAGE, PROT_READ);
    return *page != 5;
}

static int plan_in_a_raw_clone_steps(void)
{
    static struct segue_plan plan;
    volatile char *page = closed_page(PROT_NONE);
    struct segue_regs regs;
    if (segue_forced_prepare() != SEGUE_OK)
        return CASE_SKIPPED;
    pid_t child = raw_fork();
    if (child == 0)
        _exit(plan_store(page, &regs, &plan) || segue_step(&plan, &regs, NULL, NULL));
    mprotect((void *)page, PAGE, PROT_READ);
    return exit_of(child) || *page != 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(fork_leaves_no_way_to_the_parent)                                                                                \
    X(fork_leaves_none_after_segment_patching)                                                                         \
    X(grandchild_has_no_way_to_either)                                                                                 \
    X(raw_clone_loses_its_way_with_its_first_fault)                                                                    \
    X(raw_clone_loses_its_way_with_a_fault_of_another_region)                                                          \
    X(fork_while_the_way_is_opened_leaves_none)                                                                        \
    X(forced_window_after_setuid)                                                                                      \
    X(forced_window_that_may_be_read_after_setuid)                                                                     \
    X(forced_window_after_chroot)                                                                                      \
    X(forced_window_after_chroot_and_setuid_in_the_child)                                                              \
    X(threads_after_setuid_are_refused_by_the_plan)                                                                    \
    X(closed_descriptor_after_setuid_is_refused_by_the_plan)                                                           \
    X(region_that_cannot_be_served_is_refused)                                                                         \
    X(plan_says_yes_only_to_what_is_prepared)                                                                          \
    X(plan_in_a_raw_clone_steps)

CASES_MAIN(EACH_CASE)
