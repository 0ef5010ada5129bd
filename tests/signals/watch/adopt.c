/* adopt.c: memory that exists gets a second view, in place. */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/cases.h"

#define PAGE 4096u
#define PAGES 8u

static void prepare(void)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
}

/* Pages of different protections and contents; page 5 was never touched. */
static char *make(void)
{
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 5)
            memset(memory + i * PAGE, (int)i + 1, PAGE);
    mprotect(memory + 2 * PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_NONE);
    return memory;
}

/* Each line of the process's maps that is in the memory, by its protection. */
static void protections(const char *memory, char found[PAGES + 1])
{
    static char text[1 << 16];
    memset(found, 0, PAGES + 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(text, sizeof text, maps)) {
        unsigned long start, end;
        char allowed[5];
        if (sscanf(text, "%lx-%lx %4s", &start, &end, allowed) != 3)
            continue;
        for (unsigned i = 0; i < PAGES; i++) {
            unsigned long at = (unsigned long)memory + i * PAGE;
            if (at >= start && at < end)
                found[i] = allowed[1] == 'w' ? 'w' : allowed[0];
        }
    }
    fclose(maps);
}

static void check_contents(char *memory)
{
    char found[PAGES + 1];
    protections(memory, found);
    assert_string_equal(found, "wwr-wwww");
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 3)
            assert_int_equal(memory[i * PAGE + 7], i == 5 ? 0 : (int)i + 1);
}

static int adopted_memory_has_two_views(void)
{
    prepare();
    char *memory = make();
    struct segue_mapping mapping;
    assert_int_equal(segue_mapping_adopt(memory, PAGES * PAGE, &mapping), SEGUE_OK);
    assert_ptr_equal(mapping.memory, memory);
    check_contents(memory);
    memory[8] = 99;
    assert_int_equal(((char *)mapping.alias)[8], 99);
    ((char *)mapping.alias)[9] = 98;
    assert_int_equal(memory[9], 98);
    char found[PAGES + 1];
    protections(mapping.alias, found);
    assert_string_equal(found, "wwr-wwww");
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_INVALID);
    /* What the caller has protected meanwhile is as it was before. */
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    check_contents(memory);
    assert_int_equal(memory[8], 99);
    assert_int_equal(memory[9], 98);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_INVALID);
    munmap(memory, PAGES * PAGE);
    return 0;
}

static int adopted_memory_is_a_copy_in_a_child(void)
{
    prepare();
    char *memory = make();
    struct segue_mapping mapping;
    assert_int_equal(segue_mapping_adopt(memory, PAGES * PAGE, &mapping), SEGUE_OK);
    pid_t child = fork();
    if (child == 0) {
        char *alias = mapping.alias;
        memory[1] = 50;
        bool is_one_memory = alias[1] == 50;
        alias[2] = 51;
        _exit(is_one_memory && memory[2] == 51 && memory[3] == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(memory[1], 1);
    assert_int_equal(memory[2], 1);
    check_contents(memory);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    munmap(memory, PAGES * PAGE);
    return 0;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void exit_at_once(void)
{
    _exit(0);
}

/* How long a parent waits for its child's copies at most (signals/watch/adopt.c), in seconds. */
#define LONGEST 5

/* A parent waits for its child's copy: not for that of a child that there is not, or that has ended. */
static int forks_that_fail_do_not_wait(void)
{
    prepare();
    char *memory = make();
    struct segue_mapping mapping;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof code / sizeof *code, code};
    int status;
    /* It runs in the child before the library's own. */
    pthread_atfork(NULL, NULL, exit_at_once);
    assert_int_equal(segue_mapping_adopt(memory, PAGES * PAGE, &mapping), SEGUE_OK);
    double begun = seconds();
    pid_t child = fork();
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(seconds() - begun < LONGEST);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0)
        return CASE_SKIPPED;
    begun = seconds();
    assert_int_equal(fork(), -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(seconds() - begun < LONGEST);
    return 0;
}

/* Without memory for its copy, a child has none of the pages, rather than its parent's. */
static int children_never_write_to_their_parents_memory(void)
{
    prepare();
    const size_t size = 64u << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct segue_mapping mapping;
    memory[5] = 1;
    assert_int_equal(segue_mapping_adopt(memory, size, &mapping), SEGUE_OK);
    struct rlimit before, none = {1u << 20, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        memory[5] = 2;
        _exit(0);
    }
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(memory[5], 1);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    return 0;
}

/* The views are further mappings of the same pages: another mapping, and a child, see what is written. */
static int shared_memory_stays_shared(void)
{
    const int file = memfd_create("shared", 0);
    struct segue_mapping mapping, nested;
    int status;
    assert_int_equal(ftruncate(file, 2 * PAGE), 0);
    volatile char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    const volatile char *other = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    memory[PAGE] = 1;
    prepare();
    assert_int_equal(segue_mapping_adopt((void *)(uintptr_t)memory, 2 * PAGE, &mapping), SEGUE_OK);
    volatile char *alias = mapping.alias;
    assert_int_equal(alias[PAGE], 1);
    alias[0] = 2;
    memory[1] = 3;
    assert_true(memory[0] == 2 && other[0] == 2 && other[1] == 3 && alias[1] == 3);
    assert_true(pwrite(file, "\4", 1, 2) == 1 && memory[2] == 4 && alias[2] == 4);
    pid_t child = fork();
    if (child == 0) {
        memory[3] = 5;
        alias[4] = 6;
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child && status == 0);
    assert_true(memory[3] == 5 && alias[4] == 6 && other[4] == 6);
    assert_int_equal(segue_mapping_adopt((void *)(uintptr_t)alias, PAGE, &nested), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    memory[5] = 7;
    assert_true(memory[0] == 2 && memory[3] == 5 && other[5] == 7);
    return 0;
}

static int adopting_refuses_by_name(void)
{
    prepare();
    struct segue_mapping mapping;
    char *memory = make();
    assert_int_equal(segue_mapping_adopt(memory + 1, PAGE, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_adopt(memory, PAGE + 1, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_adopt(NULL, PAGE, &mapping), SEGUE_INVALID);
    uintptr_t stack = (uintptr_t)&mapping / PAGE * PAGE;
    assert_int_equal(segue_mapping_adopt((void *)stack, PAGE, &mapping), SEGUE_BUSY);
    assert_non_null(strstr(segue_reason(), "stack pointer"));
    munmap(memory + PAGE, PAGE);
    assert_int_equal(segue_mapping_adopt(memory, 3 * PAGE, &mapping), SEGUE_UNSUPPORTED);
    assert_non_null(strstr(segue_reason(), "no memory is mapped"));
    assert_int_equal(memory[0], 1);
    munmap(memory, PAGES * PAGE);
    return 0;
}

/* A small stack between two pages of a file; its thread's record is at its end. */
#define STACK (16u * PAGE)
struct beside {
    char *below, *stack, *above;
    pthread_barrier_t barrier;
};

static enum segue_status adopt_and_release(char *memory)
{
    struct segue_mapping mapping;
    enum segue_status status = segue_mapping_adopt(memory, PAGE, &mapping);
    return status == SEGUE_OK ? segue_mapping_release(&mapping) : status;
}

/* Inside the stack nothing is adopted, also if it is no longer one mapping. */
static void adopt_beside(const struct beside *beside)
{
    assert_int_equal(adopt_and_release(beside->below), SEGUE_OK);
    assert_int_equal(adopt_and_release(beside->above), SEGUE_OK);
    assert_int_equal(adopt_and_release(beside->stack), SEGUE_BUSY);
    assert_int_equal(adopt_and_release(beside->stack + STACK - PAGE), SEGUE_UNSUPPORTED);
    assert_int_equal(madvise(beside->stack, STACK / 2, MADV_DONTDUMP), 0);
    assert_int_equal(adopt_and_release(beside->stack), SEGUE_BUSY);
    assert_int_equal(madvise(beside->stack, STACK / 2, MADV_DODUMP), 0);
}

static void *adopt_around_self(void *argument)
{
    struct beside *beside = argument;
    adopt_beside(beside);
    pthread_barrier_wait(&beside->barrier);
    pthread_barrier_wait(&beside->barrier);
    return NULL;
}

static int what_is_beside_a_small_stack_is_adopted(void)
{
    const int file = memfd_create("beside", 0);
    struct beside beside;
    pthread_attr_t attributes;
    pthread_t thread;
    prepare();
    assert_int_equal(ftruncate(file, 2 * PAGE), 0);
    beside.below = mmap(NULL, STACK + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    beside.stack = beside.below + PAGE;
    beside.above = beside.stack + STACK;
    for (unsigned i = 0; i < 2; i++) {
        char *at = i ? beside.above : beside.below;
        assert_ptr_equal(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, i * PAGE), at);
    }
    pthread_barrier_init(&beside.barrier, NULL, 2);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstack(&attributes, beside.stack, STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, adopt_around_self, &beside), 0);
    pthread_barrier_wait(&beside.barrier);
    adopt_beside(&beside);
    pthread_barrier_wait(&beside.barrier);
    return pthread_join(thread, NULL);
}

static void *adopt_behind_self(void *behind)
{
    return adopt_and_release(behind) == SEGUE_OK ? NULL : behind;
}

/* Memory like the stack's, in one mapping with it: the stack ends with the thread's record. */
static int what_is_behind_a_stack_is_adopted(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *failed;
    prepare();
    char *stack = mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, adopt_behind_self, stack + STACK), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(adopted_memory_has_two_views)                                                                                    \
    X(adopted_memory_is_a_copy_in_a_child)                                                                             \
    X(forks_that_fail_do_not_wait)                                                                                     \
    X(children_never_write_to_their_parents_memory)                                                                    \
    X(shared_memory_stays_shared)                                                                                      \
    X(what_is_behind_a_stack_is_adopted)                                                                               \
    X(what_is_beside_a_small_stack_is_adopted)                                                                         \
    X(adopting_refuses_by_name)
CASES_MAIN(EACH_CASE)
