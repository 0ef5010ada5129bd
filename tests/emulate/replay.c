/* replay.c: what the replay and the stack engine owe beside doing what the processor does, which differential.c shows:
 * faults of the instruction's own, memory that is never writable and executable at once,
 * children made by fork, and transfers of control, which a test of single instructions cannot follow. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "emulate/replay/stubs/stubs.h"
#include "platform/code_range.h"

#define PAGE 4096u

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

/* One line of /proc/self/maps. */
struct line {
    uint64_t start, end, inode;
    char rights[5];
};

static bool next_line(FILE *maps, struct line *line)
{
    char text[512];
    return fgets(text, sizeof text, maps) &&
           sscanf(text, "%lx-%lx %4s %*s %*s %lu", &line->start, &line->end, line->rights, &line->inode) == 4;
}

/* The line that holds stubs, or the one that can be written to of the same memory. */
static struct line find_view(uint64_t inode)
{
    struct line line = {0}, found = {0};
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (next_line(maps, &line)) {
        assert_false(line.rights[1] == 'w' && line.rights[2] == 'x');
        if (inode ? line.inode == inode && line.rights[1] == 'w' : stubs_contain(line.start))
            found = line;
    }
    fclose(maps);
    return found;
}

/* Whoever asks for a thread's place while it is in a stub learns of the stub's caller. */
static bool stub_is_known(void)
{
    static const struct code_range *const nothing[] = {NULL};
    const uint64_t stack[] = {0x1234};
    struct segue_regs regs = {.rip = find_view(0).start + 4, .rsp = (uint64_t)(uintptr_t)stack};
    const void *frame = NULL;
    return code_range_translate(nothing, &regs, &frame) == CODE_RANGE_SHOWN && regs.rip == stack[0] &&
           regs.rsp == (uint64_t)(uintptr_t)(stack + 1);
}

/* What can be written of it is not where what can be executed leads to: neither next to it, nor in the same place of
 * two processes. */
static uint64_t distance_of_views(void)
{
    struct line executable = find_view(0);
    assert_memory_equal(executable.rights, "r-x", 3);
    assert_true(executable.inode != 0);
    struct line writable = find_view(executable.inode);
    assert_memory_equal(writable.rights, "rw-", 3);
    uint64_t gap = executable.start > writable.end ? executable.start - writable.end : writable.start - executable.end;
    assert_true(gap >= 2 * 65536);
    return executable.start - writable.start;
}

static void no_mapping_is_both_writable_and_executable(void **state)
{
    uint64_t distance = distance_of_views();
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    unsigned same = 0;
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        uint64_t other;
        if (child == 0) {
            segue_replay_prepare();
            other = distance_of_views();
            _exit(write(ends[1], &other, sizeof other) == sizeof other ? 0 : 1);
        }
        waitpid(child, NULL, 0);
        assert_int_equal(read(ends[0], &other, sizeof other), sizeof other);
        same += other == distance;
    }
    close(ends[0]);
    close(ends[1]);
    assert_true(same < 4);
}

static void add_locked(uint64_t *word)
{
    __asm__ volatile("lock incq %0" : "+m"(*word));
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
        _exit(sum > 1000 && stub_is_known() ? 0 : 1);
    }
    for (int i = 0; i < 1000; i++)
        add_locked(word);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(*(uint64_t *)(void *)fixture->alias, 2001);
    assert_true(stub_is_known());
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

/* ENTER with two enclosing frames, and POPFQ, with the stack in the closed page. */
static void frames_and_flags_on_a_protected_stack_work(void **state)
{
    struct fixture *fixture = *state;
    uint64_t top = (uint64_t)(uintptr_t)fixture->memory + PAGE - 512, frame = 0, stack = 0, flags = 0;
    uint64_t *view = (uint64_t *)(void *)(fixture->alias + PAGE - 512);
    view[31] = 0x1111;
    view[32] = top + 256;
    __asm__ volatile("mov %%rsp, %%r15\n mov %%rbp, %%r14\n"
                     "mov %3, %%rsp\n lea 264(%3), %%rbp\n"
                     "enter $32, $2\n"
                     "mov %%rbp, %0\n mov %%rsp, %1\n"
                     "push $0x8d5\n popfq\n pushfq\n pop %2\n"
                     "mov %%r15, %%rsp\n mov %%r14, %%rbp\n cld\n"
                     /* Named: RBP could be chosen too. */
                     : "=&a"(frame), "=&c"(stack), "=&d"(flags)
                     : "S"(top)
                     : "r14", "r15", "cc", "memory");
    assert_int_equal(frame, top - 8);
    assert_int_equal(stack, top - 3 * 8 - 32);
    assert_int_equal(view[-1], top + 264);
    assert_int_equal(view[-2], top + 256);
    assert_int_equal(view[-3], top - 8);
    assert_int_equal(flags & 0x8d5, 0x8d5);
}

/* Flags that a handler cannot give back: nothing is done. */
static void pop_of_nested_task_and_identification_is_refused(void **state)
{
    static const uint8_t popfq = 0x9d;
    static const uint64_t changes[] = {0x4000, 0x200000};
    uint64_t stack[1];
    struct segue_insn insn;
    struct segue_plan plan;
    (void)state;
    check(segue_decode(SEGUE_MODE_64, &popfq, 1, &insn));
    for (size_t i = 0; i < 2; i++) {
        struct segue_regs regs = {.rsp = (uint64_t)(uintptr_t)stack, .rflags = 0x202}, kept = regs;
        stack[0] = 0x202 | changes[i];
        check(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, &plan));
        assert_int_equal(segue_step(&plan, &regs, NULL, NULL), SEGUE_UNSUPPORTED);
        assert_memory_equal(&regs, &kept, sizeof regs);
        stack[0] = 0x202 | 0x40c95;
        check(segue_step(&plan, &regs, NULL, NULL));
        assert_int_equal(regs.rflags, 0x202 | 0x40c95);
        assert_int_equal(regs.rsp, kept.rsp + 8);
    }
}

/* Relocated, they would set and read the handler's configuration, which the kernel exchanges for the thread's. */
static void tile_configuration_is_refused(void **state)
{
    static const uint8_t codes[][5] = {{0xc4, 0xe2, 0x78, 0x49, 0x03}, {0xc4, 0xe2, 0x79, 0x49, 0x03}};
    static char memory[64];
    const struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)memory, .rflags = 0x202};
    struct segue_insn insn;
    struct segue_plan plan;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        check(segue_decode(SEGUE_MODE_64, codes[i], sizeof codes[i], &insn));
        assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, &plan), SEGUE_UNSUPPORTED);
        assert_non_null(plan.refusal);
    }
}

/* Jumps by the pointer at `memory`; returns the address of the jump. */
static uint64_t jump_by(const void *memory)
{
    uint64_t instruction;
    memset((void *)(uintptr_t)&seen, 0, sizeof seen);
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; mov %1, %3\n"
                     "1: jmp *(%2)\n"
                     "2:"
                     : "=&r"(instruction), "=&r"(continuation)
                     : "r"(memory), "m"(continuation)
                     : "memory");
    return instruction;
}

/* The processor raises #GP at the branch itself, which has no address. */
static void jump_to_what_is_no_address_is_told_at_the_jump(void **state)
{
    struct fixture *fixture = *state;
    *(uint64_t *)(void *)fixture->alias = 0x0000800000000000;
    *(uint64_t *)(void *)(fixture->alias + PAGE) = 0x0000800000000000;
    jump_by(fixture->alias + PAGE);
    /* Not by skip(), which would leave the fixture installed. */
    if (seen.trap != 13) {
        print_message("SKIP: this processor is emulated, and reports a page fault for such a jump\n");
        return;
    }
    uint64_t instruction = jump_by(fixture->memory);
    assert_int_equal(seen.number, SIGSEGV);
    assert_int_equal(seen.code, SI_KERNEL);
    assert_int_equal(seen.trap, 13);
    assert_int_equal(seen.instruction, instruction);
    assert_int_equal(seen.address, 0);
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
        FAULTING(division_by_a_protected_zero_is_told_as_the_instructions_own),
        FAULTING(second_operand_that_is_missing_is_told_at_its_own_address),
        STEPPED(no_mapping_is_both_writable_and_executable),
        STEPPED(child_of_a_fork_has_stubs_of_its_own),
        STEPPED(calls_and_jumps_through_protected_memory_arrive),
        STEPPED(protected_stack_works),
        STEPPED(frames_and_flags_on_a_protected_stack_work),
        STEPPED(pop_of_nested_task_and_identification_is_refused),
        STEPPED(tile_configuration_is_refused),
        FAULTING(jump_to_what_is_no_address_is_told_at_the_jump),
        STEPPED(copy_of_a_page_by_rep_movsb_is_one_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
