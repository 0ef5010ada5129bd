/* limits.c: what a process may not do, and is served all the same: limits on files, descriptors and memory, filters of
 * system calls, and children that come before the library's own fork handlers or without any. Each case runs in a
 * process of its own. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "decode/host.h"
#include "emulate/replay/stubs/stubs.h"
#include "platform/linux/call.h"
#include "tests/support/cases.h"
#include "tests/support/processor/registers.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

#define PAGE 4096u
/* Where stubs are executed. */
extern const char stubs_region[];

static struct segue_mapping mapping;
static volatile long *cell;

static void expect(enum segue_status status)
{
    if (status == SEGUE_OK)
        return;
    printf("%s\n", segue_status_name(status));
    fflush(stdout);
    _exit(99);
}

static void close_mapping(void)
{
    struct segue_region region = {.window = {.base = (uintptr_t)mapping.memory,
                                             .size = mapping.size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias}};
    expect(segue_region_add(&region));
    mprotect(mapping.memory, mapping.size, PROT_NONE);
    cell = mapping.memory;
}

static void install_with_closed_page(void)
{
    expect(segue_install(NULL));
    expect(segue_mapping_create(NULL, PAGE, &mapping));
    close_mapping();
}

/* What the replay engine does alone. */
static void count(void)
{
    __asm__ volatile("lock incl %0" : "+m"(*(volatile int *)cell) : : "cc", "memory");
}

static long counted(void)
{
    return *(long *)mapping.alias;
}

static int exit_of(pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        printf("the child died of signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int count_in(pid_t child)
{
    if (child == 0) {
        count();
        _exit(0);
    }
    return exit_of(child) || counted() < 1;
}

static pid_t raw_fork(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Kills for the calls. */
static void forbid(const int *calls, size_t number)
{
    struct sock_filter filter[32] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short length = 1;
    for (size_t i = 0; i < number; i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(98);
}

static void set_limit(__rlimit_resource_t resource, rlim_t limit)
{
    struct rlimit both = {limit, limit};
    setrlimit(resource, &both);
}

/* ---- limits ---- */

static volatile struct {
    int count, code;
    uint64_t address;
} handed_on;

/* A program's own handler, which receives the fault as without the library; it lifts the limit. */
static void lift_limit(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)ucontext;
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    handed_on.count++;
    handed_on.code = info->si_code;
    handed_on.address = (uint64_t)(uintptr_t)info->si_addr;
}

static int count_without_address_space(void)
{
    count();
    expect(segue_replay_prepare());
    return handed_on.count != 1 || handed_on.code != SEGV_ACCERR ||
           handed_on.address != (uint64_t)(uintptr_t)mapping.memory || counted() != 2;
}

/* A child needs memory for stubs of its own. Where it may have none the fault goes to the program as it is, and the
 * instruction is stepped as soon as there is some. */
static int child_without_address_space_is_refused_until_there_is_some(void)
{
    struct sigaction action = {.sa_sigaction = lift_limit, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct rlimit limit;
    sigaction(SIGSEGV, &action, NULL);
    install_with_closed_page();
    count();
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = PAGE;
    setrlimit(RLIMIT_AS, &limit);
    pid_t child = fork();
    if (child == 0)
        _exit(count_without_address_space());
    return exit_of(child);
}

static int file_size_of_zero_before_install(void)
{
    set_limit(RLIMIT_FSIZE, 0);
    install_with_closed_page();
    count();
    return counted() != 1 || segue_replay_prepare() != SEGUE_OK || count_in(fork());
}

static int file_size_of_zero_before_fork(void)
{
    install_with_closed_page();
    set_limit(RLIMIT_FSIZE, 0);
    return count_in(fork()) || count_in(raw_fork()) || counted() != 2;
}

static int file_size_of_zero_with_its_signal_ignored(void)
{
    signal(SIGXFSZ, SIG_IGN);
    return file_size_of_zero_before_fork();
}

static int large_mapping_under_a_small_file_size(void)
{
    set_limit(RLIMIT_FSIZE, 65536);
    expect(segue_install(NULL));
    expect(segue_mapping_create(NULL, 64u << 20, &mapping));
    close_mapping();
    count();
    return counted() != 1;
}

static int no_descriptor_is_left(void)
{
    set_limit(RLIMIT_NOFILE, 3);
    install_with_closed_page();
    count();
    return counted() != 1 || count_in(fork());
}

/* And there is some left for the program. */
static int step_in_address_space(rlim_t size, size_t left)
{
    set_limit(RLIMIT_AS, size);
    install_with_closed_page();
    count();
    void *programs = malloc(left);
    return !programs || counted() != 1 || count_in(fork());
}

static int small_address_space(void)
{
    return step_in_address_space(64u << 20, 16u << 20);
}

static int very_small_address_space(void)
{
    return step_in_address_space(24u << 20, 1u << 20);
}

/* ---- filters ---- */

static int memory_files_are_forbidden(void)
{
    static const int calls[] = {SYS_memfd_create, SYS_ftruncate, SYS_openat, SYS_fcntl};
    install_with_closed_page();
    forbid(calls, sizeof calls / sizeof *calls);
    return count_in(fork()) || count_in(raw_fork()) || counted() != 2;
}

static int memory_files_are_forbidden_before_install(void)
{
    static const int calls[] = {SYS_memfd_create, SYS_ftruncate};
    forbid(calls, sizeof calls / sizeof *calls);
    install_with_closed_page();
    count();
    return counted() != 1 || count_in(fork());
}

/* What a child needs to replay, it makes when it replays and not before: fork itself is allowed all that a child does
 * not use. */
static int child_that_replays_nothing_makes_no_memory(void)
{
    static const int calls[] = {SYS_memfd_create, SYS_mremap, SYS_mprotect, SYS_madvise};
    install_with_closed_page();
    forbid(calls, sizeof calls / sizeof *calls);
    pid_t child = fork();
    if (child == 0) {
        *cell = 5;
        _exit(0);
    }
    return exit_of(child) || counted() != 5;
}

/* vm.memfd_noexec is of a PID namespace. */
static int memory_files_may_not_be_executed(void)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        return CASE_SKIPPED;
    pid_t child = fork();
    if (child == 0) {
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        int file = open("/proc/sys/vm/memfd_noexec", O_WRONLY);
        if (file < 0 || write(file, "2", 1) != 1)
            _exit(CASE_SKIPPED);
        install_with_closed_page();
        count();
        _exit(counted() != 1 || count_in(fork()));
    }
    return exit_of(child);
}

static int user_namespace(void)
{
    if (unshare(CLONE_NEWUSER) != 0)
        return CASE_SKIPPED;
    install_with_closed_page();
    count();
    return counted() != 1 || count_in(fork());
}

/* As systemd's MemoryDenyWriteExecute= has it, by the kernel. */
static int memory_may_not_become_executable(void)
{
    if (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0)
        return CASE_SKIPPED;
    install_with_closed_page();
    count();
    return counted() != 1 || count_in(fork());
}

/* Answers EACCES where memory would be executable. */
static void forbid_executable_memory(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL_MAP, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(98);
}

static enum segue_verdict open_page(void *context, const struct segue_event *event)
{
    *(enum segue_status *)context = event->can_step;
    mprotect(mapping.memory, mapping.size, PROT_READ | PROT_WRITE);
    return SEGUE_RETRY;
}

static int install_without_replay_engine_says_so(void)
{
    static enum segue_status can_step;
    forbid_executable_memory();
    install_with_closed_page();
    if (segue_feature_check(SEGUE_FEATURE_REPLAY) != SEGUE_UNSUPPORTED || !*segue_reason())
        return 1;
    if (segue_replay_prepare() != SEGUE_UNSUPPORTED)
        return 2;
    /* Moves are stepped all the same, and the plan reports beforehand what is not. */
    *cell = 3;
    expect(segue_region_remove(mapping.memory));
    struct segue_region region = {.window = {.base = (uintptr_t)mapping.memory,
                                             .size = mapping.size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias},
                                  .policy = open_page,
                                  .context = &can_step};
    expect(segue_region_add(&region));
    count();
    return can_step != SEGUE_UNSUPPORTED || counted() != 4;
}

static int features_are_told(void)
{
    return *segue_reason() != 0 || segue_feature_check(SEGUE_FEATURE_REPLAY) != SEGUE_OK ||
           segue_feature_check((enum segue_feature)99) != SEGUE_INVALID || !*segue_reason();
}

/* ---- tried again ---- */

static int patching_that_had_no_memory_is_tried_again(void)
{
    struct segue_segment_options options = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    struct rlimit limit, none = {4096, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &limit);
    none.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_AS, &none);
    enum segue_status first = segue_segment_enable(&options);
    setrlimit(RLIMIT_AS, &limit);
    return first != SEGUE_NO_MEMORY || segue_segment_enable(&options) != SEGUE_OK;
}

static int install_that_had_no_key_is_tried_again(void)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX + 1];
    size_t made = 0;
    while (made < PTHREAD_KEYS_MAX && pthread_key_create(&keys[made], NULL) == 0)
        made++;
    enum segue_status first = segue_install(NULL);
    while (made)
        pthread_key_delete(keys[--made]);
    return first != SEGUE_NO_MEMORY || segue_install(NULL) != SEGUE_OK;
}

static int replay_that_had_no_memory_is_tried_again(void)
{
    struct rlimit limit, none;
    getrlimit(RLIMIT_AS, &limit);
    none = (struct rlimit){4096, limit.rlim_max};
    setrlimit(RLIMIT_AS, &none);
    enum segue_status first = segue_feature_check(SEGUE_FEATURE_REPLAY);
    setrlimit(RLIMIT_AS, &limit);
    return first != SEGUE_NO_MEMORY || segue_feature_check(SEGUE_FEATURE_REPLAY) != SEGUE_OK;
}

/* ---- children before their handlers, and without ---- */

static volatile bool handler_is_armed;
static bool was_served;

static void use_all_in_a_fork_handler(void)
{
    if (!handler_is_armed)
        return;
    struct segue_mapping other;
    struct segue_region region, found;
    alarm(20);
    count();
    expect(segue_mapping_create(NULL, PAGE, &other));
    region = (struct segue_region){
        .window = {.base = (uintptr_t)other.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = other.alias}};
    expect(segue_region_add(&region));
    expect(segue_region_find(other.memory, &found));
    mprotect(other.memory, PAGE, PROT_NONE);
    *(volatile long *)other.memory = 7;
    expect(segue_region_remove(other.memory));
    expect(segue_install_check(NULL));
    was_served = *(long *)other.alias == 7;
    expect(segue_mapping_destroy(&other));
}

static int fork_in_armed_state(void)
{
    install_with_closed_page();
    handler_is_armed = true;
    pid_t child = fork();
    if (child == 0)
        _exit(was_served ? 0 : 1);
    return exit_of(child) || !was_served;
}

/* Handlers that were registered before ours run before them in the child and in the parent, and after them before. */
static int fork_handlers_that_came_first_are_served_in_the_child(void)
{
    pthread_atfork(NULL, NULL, use_all_in_a_fork_handler);
    install_with_closed_page();
    handler_is_armed = true;
    pid_t child = fork();
    if (child == 0)
        _exit(was_served && counted() == 1 ? 0 : 1);
    return exit_of(child);
}

static int fork_handlers_that_came_first_are_served_in_the_parent(void)
{
    pthread_atfork(NULL, use_all_in_a_fork_handler, NULL);
    install_with_closed_page();
    handler_is_armed = true;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return exit_of(child) || !was_served;
}

static int fork_handlers_that_came_first_are_served_before(void)
{
    pthread_atfork(use_all_in_a_fork_handler, NULL, NULL);
    return fork_in_armed_state();
}

static int fork_handlers_that_came_last_are_served(void)
{
    install_with_closed_page();
    pthread_atfork(use_all_in_a_fork_handler, use_all_in_a_fork_handler, use_all_in_a_fork_handler);
    handler_is_armed = true;
    pid_t child = fork();
    if (child == 0)
        _exit(was_served ? 0 : 1);
    return exit_of(child) || !was_served;
}

/* They ran with every signal blocked, SIGSEGV too. */
static int fork_handlers_are_served_while_code_is_patched(void)
{
    struct segue_segment_options options = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    pthread_atfork(use_all_in_a_fork_handler, use_all_in_a_fork_handler, use_all_in_a_fork_handler);
    expect(segue_segment_enable(&options));
    install_with_closed_page();
    handler_is_armed = true;
    pid_t child = fork();
    if (child == 0)
        _exit(was_served ? 0 : 1);
    return exit_of(child) || !was_served;
}

static void count_in_signal(int number)
{
    (void)number;
    count();
}

static void raise_in_a_fork_handler(void)
{
    raise(SIGUSR1);
}

static int signal_before_our_fork_handlers_is_served(void)
{
    signal(SIGUSR1, count_in_signal);
    pthread_atfork(NULL, NULL, raise_in_a_fork_handler);
    install_with_closed_page();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return exit_of(child) || counted() != 1;
}

static int raw_fork_is_served(void)
{
    install_with_closed_page();
    count();
    return count_in(raw_fork()) || counted() != 2;
}

static enum segue_verdict fork_raw(void *context, const struct segue_event *event)
{
    (void)event;
    *(pid_t *)context = raw_fork();
    return SEGUE_STEP;
}

static int policy_that_forks_raw_steps_twice(void)
{
    static pid_t child;
    expect(segue_install(NULL));
    expect(segue_mapping_create(NULL, PAGE, &mapping));
    struct segue_region region = {
        .window = {.base = (uintptr_t)mapping.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias},
        .policy = fork_raw,
        .context = &child};
    expect(segue_region_add(&region));
    mprotect(mapping.memory, PAGE, PROT_NONE);
    cell = mapping.memory;
    count();
    if (child == 0)
        _exit(0);
    return exit_of(child) || counted() != 2;
}

/* The plan names executable memory that the child does not have. */
static int plan_made_before_a_raw_fork_steps(void)
{
    static const uint8_t code[] = {0xf0, 0xff, 0x03}; /* lock incl (%rbx) */
    static struct segue_plan plan;
    static long word;
    struct segue_insn insn;
    struct segue_regs regs = {.rbx = (uintptr_t)&word, .rflags = 2};
    expect(segue_replay_prepare());
    expect(segue_decode(HOST_MODE, code, sizeof code, &insn));
    expect(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, &plan));
    pid_t child = raw_fork();
    if (child == 0) {
        struct segue_fault fault;
        enum segue_status status = segue_step(&plan, &regs, NULL, &fault);
        _exit(status == SEGUE_OK ? word != 1 : 100 + (int)status);
    }
    return exit_of(child) || word != 0;
}

/* ---- children of handlers that interrupt a step ---- */

static volatile pid_t forked;
static volatile unsigned interruptions;
static bool forks_bare;

static void fork_inside_a_stub(int number, siginfo_t *info, void *context)
{
    const ucontext_t *interrupted = context;
    (void)number, (void)info;
    interruptions++;
    if (forked < 0 && stubs_contain((uint64_t)interrupted->uc_mcontext.gregs[REG_RIP]))
        forked = forks_bare ? raw_fork() : fork();
}

/* A copy within closed memory, by a stub that takes its time; true if it is right. */
static bool copy_closed_memory(size_t half)
{
    char *to = (char *)mapping.memory + half, *from = mapping.memory;
    size_t size = half;
    memset(mapping.alias, 0x5a, half);
    memset((char *)mapping.alias + half, 0, half);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return memcmp(mapping.alias, (char *)mapping.alias + half, half) == 0;
}

static int copy_while_a_handler_forks(void)
{
    enum { HALF = 1 << 20 };
    struct sigaction action = {.sa_sigaction = fork_inside_a_stub, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    expect(segue_install(&(struct segue_options){.flags = SEGUE_INSTALL_OPEN_SIGNALS}));
    expect(segue_mapping_create(NULL, (size_t)2 * HALF, &mapping));
    close_mapping();
    forked = -1;
    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < 200 && forked < 0; i++) {
        setitimer(ITIMER_REAL, &often, NULL);
        bool right = copy_closed_memory(HALF);
        setitimer(ITIMER_REAL, &never, NULL);
        /* The child's copy of the memory is its parent's. */
        if (!right && forked < 0)
            return 1;
    }
    if (forked < 0)
        return CASE_SKIPPED;
    if (forked == 0) {
        count();
        _exit(0);
    }
    return exit_of(forked);
}

static int handler_that_interrupts_a_stub_may_fork(void)
{
    return copy_while_a_handler_forks();
}

static int handler_that_interrupts_a_stub_may_fork_bare(void)
{
    forks_bare = true;
    return copy_while_a_handler_forks();
}

/* Where unwinders find the library's table, in each generation, whether the one before has replayed or not. */
static int each_generation_executes_stubs_in_the_same_place(void)
{
    install_with_closed_page();
    count();
    for (int generation = 0; generation < 6; generation++) {
        pid_t child = generation % 3 == 2 ? raw_fork() : fork();
        if (child != 0)
            return exit_of(child);
        if (generation % 2 == 0)
            continue;
        count();
        if (!stubs_contain((uint64_t)(uintptr_t)stubs_region))
            return 10 + generation;
    }
    return 0;
}

/* What the child has mapped where its parent's code was stays. */
static int child_keeps_what_it_maps(void)
{
    enum { COUNT = 64 };
    static char *mapped[COUNT];
    install_with_closed_page();
    count();
    pid_t child = raw_fork();
    if (child == 0) {
        bool whole = true;
        for (size_t i = 0; i < COUNT; i++) {
            mapped[i] = mmap(NULL, (i % 32 + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(mapped[i], (int)i, (i % 32 + 1) * PAGE);
        }
        char *taken = mmap((char *)(uintptr_t)stubs_region + PAGE, PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        whole &= taken == (char *)(uintptr_t)stubs_region + PAGE;
        if (whole)
            *(volatile char *)taken = 77; /* clang takes it for a store to a constant otherwise */
        count();
        whole &= *taken == 77;
        for (size_t i = 0; i < COUNT; i++)
            for (size_t k = 0; k < (i % 32 + 1) * PAGE; k += 512)
                whole &= mapped[i][k] == (char)i;
        _exit(whole ? 0 : 1);
    }
    return exit_of(child) || counted() != 2;
}

#define EACH_CASE(X)                                                                                                   \
    X(file_size_of_zero_before_install)                                                                                \
    X(file_size_of_zero_before_fork)                                                                                   \
    X(file_size_of_zero_with_its_signal_ignored)                                                                       \
    X(large_mapping_under_a_small_file_size)                                                                           \
    X(no_descriptor_is_left)                                                                                           \
    X(small_address_space)                                                                                             \
    X(very_small_address_space)                                                                                        \
    X(child_without_address_space_is_refused_until_there_is_some)                                                      \
    X(memory_files_are_forbidden)                                                                                      \
    X(memory_files_are_forbidden_before_install)                                                                       \
    X(child_that_replays_nothing_makes_no_memory)                                                                      \
    X(memory_files_may_not_be_executed)                                                                                \
    X(user_namespace)                                                                                                  \
    X(memory_may_not_become_executable)                                                                                \
    X(install_without_replay_engine_says_so)                                                                           \
    X(features_are_told)                                                                                               \
    X(patching_that_had_no_memory_is_tried_again)                                                                      \
    X(install_that_had_no_key_is_tried_again)                                                                          \
    X(replay_that_had_no_memory_is_tried_again)                                                                        \
    X(fork_handlers_are_served_while_code_is_patched)                                                                  \
    X(fork_handlers_that_came_first_are_served_in_the_child)                                                           \
    X(fork_handlers_that_came_first_are_served_in_the_parent)                                                          \
    X(fork_handlers_that_came_first_are_served_before)                                                                 \
    X(fork_handlers_that_came_last_are_served)                                                                         \
    X(signal_before_our_fork_handlers_is_served)                                                                       \
    X(handler_that_interrupts_a_stub_may_fork)                                                                         \
    X(handler_that_interrupts_a_stub_may_fork_bare)                                                                    \
    X(each_generation_executes_stubs_in_the_same_place)                                                                \
    X(child_keeps_what_it_maps)                                                                                        \
    X(raw_fork_is_served)                                                                                              \
    X(policy_that_forks_raw_steps_twice)                                                                               \
    X(plan_made_before_a_raw_fork_steps)

CASES_MAIN(EACH_CASE)
