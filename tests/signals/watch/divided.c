/* divided.c: a thread that looks a region up while another one, stopped in the middle, divides it. The one that looks
 * up must not wait: it may have preempted the other, and have the only processor (SCHED_FIFO). Here the other one is
 * stopped by its tracer, at each of some hundred places. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "decode/x86/page.h"
#include "signals/regions/region.h"
#include "signals/regions/table.h"

#define PAGES 5u
/* The pages that are cut out. */
#define FIRST 1u
#define BEHIND 3u
/* Places where the writer is stopped, so many instructions apart. */
#define STEPS 7u
/* Seconds for an answer that takes a microsecond: a reader that waits for the writer would never answer. */
#define LONG 60

#if defined(__x86_64__)
#define INSTRUCTION rip
#define STACK rsp
#else
#define INSTRUCTION eip
#define STACK esp
#endif

/* What parent and child share. */
static struct {
    unsigned questions, answers;
    /* Whether a region was found at each page, and whether one was said to be absent where one is. */
    bool found[PAGES], is_wrong;
} * shared;

static struct segue_mapping memory;

static uint64_t page_at(unsigned number)
{
    return (uint64_t)(uintptr_t)memory.memory + (uint64_t)number * PAGE;
}

static void look(void)
{
    uint64_t first = page_at(0) - PAGE, last = page_at(PAGES) + PAGE;
    for (unsigned i = 0; i < PAGES; i++)
        shared->found[i] = region_at(page_at(i)) != NULL;
    region_gap(page_at(0) - 1, &first, &last);
    shared->is_wrong = last != page_at(0) - 1 || region_at(page_at(0) - 1) || region_at(page_at(PAGES));
}

static void *answer(void *unused)
{
    for (unsigned done = 0;;) {
        while (__atomic_load_n(&shared->questions, __ATOMIC_ACQUIRE) == done)
            sched_yield();
        look();
        __atomic_store_n(&shared->answers, ++done, __ATOMIC_RELEASE);
    }
    return unused;
}

static void divide_as_traced(void)
{
    pthread_t reader;
    const struct segue_region region = {.window = segue_window_alias(memory.memory, PAGES * PAGE, memory.alias)};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    if (segue_region_add(&region) != SEGUE_OK || pthread_create(&reader, NULL, answer, NULL) != 0)
        _exit(1);
    raise(SIGSTOP);
    _exit(region_cut(memory.memory, page_at(FIRST), page_at(BEHIND)) != SEGUE_OK);
}

/* False if the reader does not answer. */
static bool ask(void)
{
    struct timespec now;
    unsigned wanted = __atomic_add_fetch(&shared->questions, 1, __ATOMIC_RELEASE);
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (const time_t end = now.tv_sec + LONG; __atomic_load_n(&shared->answers, __ATOMIC_ACQUIRE) != wanted;) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end)
            return false;
    }
    return true;
}

static struct user_regs_struct registers_of(pid_t child)
{
    struct user_regs_struct registers;
    assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
    return registers;
}

/* The child goes on to the beginning of that function. */
static void run_to(pid_t child, void *function)
{
    int status;
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, child, function, NULL);
    assert_int_equal(errno, 0);
    assert_int_equal(ptrace(PTRACE_POKETEXT, child, function, (void *)((word & ~0xffl) | 0xcc)), 0);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    assert_int_equal(ptrace(PTRACE_POKETEXT, child, function, (void *)word), 0);
    struct user_regs_struct registers = registers_of(child);
    registers.INSTRUCTION = (unsigned long)(uintptr_t)function;
    assert_int_equal(ptrace(PTRACE_SETREGS, child, NULL, &registers), 0);
}

/* To the function's end. Returns at how many places the child was stopped. */
static unsigned ask_at_each_place(pid_t child)
{
    const struct user_regs_struct begin = registers_of(child);
    unsigned places = 0, missed = 0;
    int status;
    for (unsigned step = 0; registers_of(child).STACK <= begin.STACK; step++) {
        if (step % STEPS == 0) {
            places++;
            assert_true(ask());
            assert_false(shared->is_wrong);
            for (unsigned i = 0; i < PAGES; i++)
                missed += (i < FIRST || i >= BEHIND) && !shared->found[i];
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    }
    assert_int_equal(missed, 0);
    return places;
}

static void readers_do_not_wait_for_a_division(void **state)
{
    (void)state;
    int status;
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_int_equal(segue_mapping_create(NULL, PAGES * PAGE, &memory), SEGUE_OK);
    pid_t child = fork();
    if (child == 0)
        divide_as_traced();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("SKIP: no process may be traced here\n");
        skip();
    }
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    run_to(child, (void *)(uintptr_t)table_divide);
    assert_true(ask_at_each_place(child) > 10);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    munmap(shared, PAGE);
    assert_int_equal(segue_mapping_destroy(&memory), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_do_not_wait_for_a_division)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
