/* replay.c: what the replay and the stack engine owe beside doing what the processor does, which differential.c shows:
 * atomicity between threads, faults of the instruction's own, memory that is never writable and executable at once,
 * children made by fork, and transfers of control, which a test of single instructions cannot follow. */
#include "test.h"

#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define OPERATIONS 200000u

struct fixture {
    struct segue_mapping mapping;
    char *memory, *alias;
};

static void check(enum segue_status status)
{
    assert_string_equal(segue_status_name(status), "SEGUE_OK");
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    check(segue_install(NULL));
    check(segue_mapping_create(NULL, 2 * PAGE, &fixture->mapping));
    fixture->memory = fixture->mapping.memory;
    fixture->alias = fixture->mapping.alias;
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)fixture->memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = fixture->alias},
    };
    check(segue_region_add(&region));
    mprotect(fixture->memory, PAGE, PROT_NONE);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    check(segue_region_remove(fixture->memory));
    check(segue_mapping_destroy(&fixture->mapping));
    check(segue_uninstall(NULL));
    free(fixture);
    return 0;
}

/* ---- atomicity -------------------------------------------------------------------------------------------------- */

typedef void update_function(uint64_t *word);

static void add_locked(uint64_t *word)
{
    __asm__ volatile("lock incq %0" : "+m"(*word));
}

static void add_exchanging(uint64_t *word)
{
    uint64_t one = 1;
    __asm__ volatile("lock xaddq %1, %0" : "+m"(*word), "+r"(one));
}

static void add_comparing(uint64_t *word)
{
    uint64_t old = 0, high = 0;
    uint8_t done;
    do {
        uint64_t next = old + 1;
        __asm__ volatile("lock cmpxchg16b %0; sete %1"
                         : "+m"(*word), "=q"(done), "+a"(old), "+d"(high)
                         : "b"(next), "c"(high)
                         : "memory");
    } while (!done);
}

struct hammer {
    update_function *update;
    uint64_t *word;
    unsigned operations;
};

static void *hammer(void *argument)
{
    const struct hammer *work = argument;
    for (unsigned i = 0; i < work->operations; i++)
        work->update(work->word);
    return NULL;
}

/* One thread is stepped, the other goes by the alias as fast as it can. */
static void no_update_is_lost(struct fixture *fixture, update_function *update)
{
    struct hammer stepped = {update, (uint64_t *)(void *)fixture->memory, OPERATIONS};
    struct hammer direct = {update, (uint64_t *)(void *)fixture->alias, 20 * OPERATIONS};
    pthread_t thread;
    memset(fixture->alias, 0, 16);
    assert_int_equal(pthread_create(&thread, NULL, hammer, &direct), 0);
    hammer(&stepped);
    pthread_join(thread, NULL);
    assert_int_equal(*direct.word, stepped.operations + direct.operations);
}

static void locked_increments_lose_no_update(void **state)
{
    no_update_is_lost(*state, add_locked);
}

static void locked_exchange_and_add_loses_no_update(void **state)
{
    no_update_is_lost(*state, add_exchanging);
}

static void locked_compare_and_exchange_of_16_bytes_loses_no_update(void **state)
{
    no_update_is_lost(*state, add_comparing);
}

/* ---- faults of its own ------------------------------------------------------------------------------------------ */

static volatile struct {
    int number, code;
    uint64_t address, instruction, trap, rax, rdx, other;
} seen;

static uint64_t continuation;

static void catch (int number, siginfo_t *info, void *ucontext)
{
    greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    seen.number = number;
    seen.code = info->si_code;
    seen.address = (uint64_t)(uintptr_t)info->si_addr;
    seen.instruction = (uint64_t)gregs[REG_RIP];
    seen.trap = (uint64_t)gregs[REG_TRAPNO];
    seen.rax = (uint64_t)gregs[REG_RAX];
    seen.rdx = (uint64_t)gregs[REG_RDX];
    gregs[REG_RIP] = (greg_t)continuation;
}

/* The handlers that were there before the library was. */
static int setup_under_handlers(void **state)
{
    struct sigaction action = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    return setup(state);
}

static int teardown_under_handlers(void **state)
{
    int result = teardown(state);
    signal(SIGFPE, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    return result;
}

static void division_by_a_protected_zero_is_told_as_the_instructions_own(void **state)
{
    struct fixture *fixture = *state;
    uint64_t instruction, rax = 0x1122334455667788, rdx = 5;
    memset(fixture->alias, 0, PAGE);
    memset((void *)(uintptr_t)&seen, 0, sizeof seen);
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; mov %1, %5\n"
                     "1: divq (%4)\n"
                     "2:"
                     : "=&r"(instruction), "=&r"(continuation), "+a"(rax), "+d"(rdx)
                     : "r"(fixture->memory), "m"(continuation)
                     : "cc", "memory");
    assert_int_equal(seen.number, SIGFPE);
    assert_int_equal(seen.code, FPE_INTDIV);
    assert_int_equal(seen.trap, 0);
    assert_int_equal(seen.instruction, instruction);
    assert_int_equal(seen.address, instruction);
    assert_int_equal(seen.rax, 0x1122334455667788);
    assert_int_equal(seen.rdx, 5);
}

static void second_operand_that_is_missing_is_told_at_its_own_address(void **state)
{
    struct fixture *fixture = *state;
    char *missing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *from = fixture->memory, *to = missing;
    uint64_t instruction;
    memset((void *)(uintptr_t)&seen, 0, sizeof seen);
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; mov %1, %4\n"
                     "1: movsq\n"
                     "2:"
                     : "=&r"(instruction), "=&r"(continuation), "+S"(from), "+D"(to)
                     : "m"(continuation)
                     : "cc", "memory");
    assert_int_equal(seen.number, SIGSEGV);
    assert_int_equal(seen.address, (uint64_t)(uintptr_t)missing);
    assert_int_equal(seen.instruction, instruction);
    assert_ptr_equal(from, fixture->memory);
    assert_ptr_equal(to, missing);
    munmap(missing, PAGE);
}

/* ---- executable memory ------------------------------------------------------------------------------------------ */

static void no_mapping_is_both_writable_and_executable(void **state)
{
    char line[512];
    unsigned views = 0;
    (void)state;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        const char *rights = strchr(line, ' ');
        assert_non_null(rights);
        assert_false(rights[2] == 'w' && rights[3] == 'x');
        views += strstr(line, "segue-stubs") != NULL;
    }
    fclose(maps);
    assert_int_equal(views, 2);
}

static void child_of_a_fork_has_stubs_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    uint64_t *word = (uint64_t *)(void *)fixture->memory;
    *(uint64_t *)(void *)fixture->alias = 0;
    add_locked(word);
    pid_t child = fork();
    if (child == 0) {
        /* Others than the parent's, in the places where the parent's were. */
        uint64_t sum = 1;
        for (int i = 0; i < 1000; i++) {
            add_locked(word);
            __asm__ volatile("addq %1, %0" : "+r"(sum) : "m"(*word));
        }
        _exit(sum > 1000 ? 0 : 1);
    }
    for (int i = 0; i < 1000; i++)
        add_locked(word);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(*(uint64_t *)(void *)fixture->alias, 2001);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

static void locked_operation_on_a_device_is_refused_by_name(void **state)
{
    static const uint8_t bytes[] = {0xf0, 0x48, 0x01, 0x03};
    struct segue_regs regs = {.rbx = PAGE}, kept = regs;
    struct segue_window window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_CALLBACK};
    struct segue_insn insn;
    struct segue_plan plan;
    (void)state;
    window.read = (segue_device_read *)(uintptr_t)1;
    window.write = (segue_device_write *)(uintptr_t)1;
    check(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn));
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "it is one indivisible operation, which this window cannot do");
    assert_memory_equal(&regs, &kept, sizeof regs);
}

/* ---- transfers of control --------------------------------------------------------------------------------------- */

static void calls_and_jumps_through_protected_memory_arrive(void **state)
{
    struct fixture *fixture = *state;
    uint64_t *table = (uint64_t *)(void *)fixture->memory, result = 0;
    uint64_t *view = (uint64_t *)(void *)fixture->alias;
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, (%2)\n"
                     "lea 2f(%%rip), %%rax; mov %%rax, 8(%2)\n"
                     "sub $128, %%rsp\n"
                     "call *(%1)\n"
                     "jmp *8(%1)\n"
                     "1: add $1, %0\n"
                     "ret\n"
                     "2: add $256, %0\n"
                     "add $128, %%rsp\n"
                     : "+r"(result)
                     : "r"(table), "r"(view)
                     : "rax", "cc", "memory");
    assert_int_equal(result, 257);
}

/* Calls, returns, pushes and pops while the stack pointer is in the closed page. */
static void protected_stack_works(void **state)
{
    struct fixture *fixture = *state;
    uint64_t top = (uint64_t)(uintptr_t)fixture->memory + PAGE - 64, result = 0x1234, popped = 0;
    __asm__ volatile("mov %%rsp, %%r15\n"
                     "mov %2, %%rsp\n"
                     "push %0\n"
                     "call 1f\n"
                     "jmp 2f\n"
                     "1: push $-2\n"
                     "pop %%rax\n"
                     "add %%rax, 8(%%rsp)\n"
                     "ret\n"
                     "2: pop %1\n"
                     "cmp %2, %%rsp\n"
                     "mov %%r15, %%rsp\n"
                     "jne 3f\n"
                     "add $1, %0\n"
                     "3:"
                     : "+r"(result), "=&r"(popped)
                     : "r"(top)
                     : "rax", "r15", "cc", "memory");
    assert_int_equal(popped, 0x1232);
    assert_int_equal(result, 0x1235);
}

static void copy_of_a_page_by_rep_movsb_is_one_fault(void **state)
{
    struct fixture *fixture = *state;
    struct segue_counters before, after;
    static char copy[PAGE];
    const void *from = fixture->memory;
    void *to = copy;
    size_t count = PAGE;
    for (unsigned i = 0; i < PAGE; i++)
        fixture->alias[i] = (char)(i * 7);
    segue_counters_read(&before);
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    segue_counters_read(&after);
    assert_memory_equal(copy, fixture->alias, PAGE);
    assert_int_equal(count, 0);
    assert_int_equal(after.stepped - before.stepped, 1);
}

/* cmocka has handlers of its own in force while a test runs, so the library comes in after them. */
struct installed {
    CMUnitTestFunction test;
    CMFixtureFunction setup, teardown;
};

static void run(void **state)
{
    const struct installed *installed = *state;
    void *fixture;
    assert_int_equal(installed->setup(&fixture), 0);
    installed->test(&fixture);
    assert_int_equal(installed->teardown(&fixture), 0);
}

int main(void)
{
#define STEPPED(test)                                                                                                  \
    {                                                                                                                  \
#test, run, NULL, NULL, &(struct installed)                                                                    \
        {                                                                                                              \
            test, setup, teardown                                                                                      \
        }                                                                                                              \
    }
#define FAULTING(test)                                                                                                 \
    {                                                                                                                  \
#test, run, NULL, NULL, &(struct installed)                                                                    \
        {                                                                                                              \
            test, setup_under_handlers, teardown_under_handlers                                                        \
        }                                                                                                              \
    }
    const struct CMUnitTest tests[] = {
        STEPPED(locked_increments_lose_no_update),
        STEPPED(locked_exchange_and_add_loses_no_update),
        STEPPED(locked_compare_and_exchange_of_16_bytes_loses_no_update),
        FAULTING(division_by_a_protected_zero_is_told_as_the_instructions_own),
        FAULTING(second_operand_that_is_missing_is_told_at_its_own_address),
        STEPPED(no_mapping_is_both_writable_and_executable),
        STEPPED(child_of_a_fork_has_stubs_of_its_own),
        STEPPED(locked_operation_on_a_device_is_refused_by_name),
        STEPPED(calls_and_jumps_through_protected_memory_arrive),
        STEPPED(protected_stack_works),
        STEPPED(copy_of_a_page_by_rep_movsb_is_one_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
