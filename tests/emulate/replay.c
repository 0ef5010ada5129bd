/* replay.c: what the replay and the stack engine owe beside doing what the processor does, which differential.c shows:
 * faults of the instruction's own, memory that is never writable and executable at once,
 * children made by fork, and transfers of control, which a test of single instructions cannot follow. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

/* ---- steps that are left ---------------------------------------------------------------------------------------- */

/* More than there are numbers for steps outside faults. */
#define LEAVES 5000

static sigjmp_buf leaving;

static void leave(int number)
{
    (void)number;
    siglongjmp(leaving, 1);
}

/* addl $number, (%rdi), in a window that leads there: a stub of its own. */
static enum segue_status add_number(uint32_t number, void *alias)
{
    unsigned char code[] = {0x81, 0x07, 0, 0, 0, 0};
    const struct segue_window window = {.base = 0x10000, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = alias};
    struct segue_regs regs = {.rdi = 0x10000};
    struct segue_insn insn;
    struct segue_plan plan;
    memcpy(code + 2, &number, sizeof number);
    check(segue_decode(SEGUE_MODE_64, code, sizeof code, &insn));
    check(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan));
    return segue_step(&plan, &regs, NULL, NULL);
}

/* The stack that the step begins at differs, so that the marks of those that were left do, too. */
__attribute__((noinline)) static void leave_step(uint32_t number, void *closed)
{
    char room[64 * (number % 7 + 1)];
    __asm__ volatile("" : : "r"(room) : "memory");
    if (sigsetjmp(leaving, 1) == 0)
        add_number(number, closed);
}

static void numbers_of_steps_that_are_left_are_taken_over(void **state)
{
    struct fixture *fixture = *state;
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_NODEFER}, before;
    char *closed = fixture->alias + PAGE;
    memset(fixture->alias, 0, PAGE);
    assert_int_equal(mprotect(closed, PAGE, PROT_NONE), 0);
    sigaction(SIGSEGV, &action, &before);
    for (uint32_t i = 1; i <= LEAVES; i++)
        leave_step(i, closed);
    sigaction(SIGSEGV, &before, NULL);
    mprotect(closed, PAGE, PROT_READ | PROT_WRITE);
    for (uint32_t i = 1; i <= 16; i++)
        check(add_number(i, fixture->alias));
    assert_int_equal(*(uint32_t *)fixture->alias, 16 * 17 / 2);
}

/* ---- steps that are all in progress ----------------------------------------------------------------------------- */

/* As many numbers as there are (stubs.c). */
#define IN_PROGRESS 1024u

static struct {
    char *closed;
    /* How many steps are interrupted, each by the next one, and what runs then. */
    uint32_t most;
    void (*at_last)(void);
    uint32_t depth, refused_at, done;
} nested;

/* Interrupts a step whose memory is closed by another; the last one opens the memory. */
static void step_again(int number)
{
    (void)number;
    uint32_t depth = ++nested.depth;
    if (depth < nested.most) {
        enum segue_status status = add_number(depth, nested.closed);
        nested.done += status == SEGUE_OK;
        if (status == SEGUE_BUSY)
            nested.refused_at = depth;
    } else if (nested.at_last) {
        nested.at_last();
    }
    mprotect(nested.closed, PAGE, PROT_READ | PROT_WRITE);
}

static void *begin_nesting(void *status)
{
    *(enum segue_status *)status = add_number(0, nested.closed);
    return NULL;
}

static void nest(const struct fixture *fixture, uint32_t most, void (*at_last)(void))
{
    struct sigaction action = {.sa_handler = step_again, .sa_flags = SA_NODEFER}, before;
    enum segue_status outermost = SEGUE_INVALID;
    pthread_attr_t attributes;
    pthread_t thread;
    memset(&nested, 0, sizeof nested);
    nested.closed = fixture->alias + PAGE;
    nested.most = most;
    nested.at_last = at_last;
    memset(nested.closed, 0, PAGE);
    assert_int_equal(mprotect(nested.closed, PAGE, PROT_NONE), 0);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)256 << 20), 0);
    sigaction(SIGSEGV, &action, &before);
    assert_int_equal(pthread_create(&thread, &attributes, begin_nesting, &outermost), 0);
    pthread_join(thread, NULL);
    sigaction(SIGSEGV, &before, NULL);
    pthread_attr_destroy(&attributes);
    assert_int_equal(outermost, SEGUE_OK);
}

static void steps_in_progress_keep_their_numbers(void **state)
{
    nest(*state, 2 * IN_PROGRESS, NULL);
    assert_int_equal(nested.refused_at, IN_PROGRESS);
    assert_int_equal(nested.done, IN_PROGRESS - 1);
    assert_int_equal(*(uint32_t *)nested.closed, IN_PROGRESS * (IN_PROGRESS - 1) / 2);
}

/* Threads that borrow the last number and give it back, while others examine whether it can be taken over. */
#define CROWD 4
#define CROWD_SECONDS 2

static uint32_t owners[IN_PROGRESS];

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void *join_crowd(void *given)
{
    unsigned *shared_by_two = given;
    time_t end = seconds() + CROWD_SECONDS;
    for (unsigned i = 0; i % 64 || seconds() <= end; i++) {
        _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
        uint32_t holder;
        if (!stubs_borrow(&holder, &mark))
            continue;
        uint32_t *owner = &owners[holder - STUBS_NUMBERED];
        *shared_by_two += __atomic_exchange_n(owner, 1, __ATOMIC_SEQ_CST) != 0;
        for (unsigned k = 0; k < i % 64; k++)
            __builtin_ia32_pause();
        __atomic_store_n(owner, 0, __ATOMIC_SEQ_CST);
        stubs_give_back(holder);
    }
    return NULL;
}

static void number_that_is_examined_has_one_holder(void **state)
{
    static struct {
        _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
        uint32_t holder;
    } held[IN_PROGRESS];
    pthread_t threads[CROWD];
    unsigned shared_by_two[CROWD] = {0};
    (void)state;
    for (unsigned i = 0; i < IN_PROGRESS - 1; i++)
        assert_true(stubs_borrow(&held[i].holder, &held[i].mark));
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, join_crowd, &shared_by_two[i]), 0);
    for (unsigned i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    /* None was lost: the last one can still be borrowed, and no other. */
    assert_true(stubs_borrow(&held[IN_PROGRESS - 1].holder, &held[IN_PROGRESS - 1].mark));
    _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
    uint32_t holder;
    assert_false(stubs_borrow(&holder, &mark));
    for (unsigned i = 0; i < IN_PROGRESS; i++)
        stubs_give_back(held[i].holder);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(shared_by_two[i], 0);
}

/* The examination of a borrower, held up where it reads the borrower's mark: userfaultfd keeps the mark's page back. */
struct examination {
    /* The page of the mark, and what was in it. */
    volatile uint64_t *page;
    uint64_t mark;
    uint32_t examined;
    int page_faults;
    pthread_t thread;
    bool has_number;
    uint32_t holder;
};

static const char *keep_page_back(struct examination *examination)
{
    struct uffdio_api api = {.api = UFFD_API};
    /* Not UFFD_USER_MODE_ONLY: it is the kernel that reads the page. */
    examination->page_faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (examination->page_faults < 0 || ioctl(examination->page_faults, UFFDIO_API, &api) != 0)
        return "this process may not hold up the kernel's reads";
    examination->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(examination->page, MAP_FAILED);
    return NULL;
}

static void *examine(void *given)
{
    struct examination *examination = given;
    _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
    examination->has_number = stubs_borrow(&examination->holder, &mark);
    if (examination->has_number)
        stubs_give_back(examination->holder);
    return NULL;
}

static void begin_examination(struct examination *examination)
{
    struct uffdio_register range = {.range = {(uint64_t)(uintptr_t)examination->page, PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    struct uffd_msg message;
    assert_true(stubs_borrow(&examination->examined, examination->page));
    examination->mark = *examination->page;
    assert_int_equal(madvise((void *)(uintptr_t)examination->page, PAGE, MADV_DONTNEED), 0);
    assert_int_equal(ioctl(examination->page_faults, UFFDIO_REGISTER, &range), 0);
    assert_int_equal(pthread_create(&examination->thread, NULL, examine, examination), 0);
    assert_int_equal(read(examination->page_faults, &message, sizeof message), sizeof message);
    assert_int_equal(message.event, UFFD_EVENT_PAGEFAULT);
}

/* The mark stands there still, or is overwritten. */
static void end_examination(struct examination *examination, bool stands)
{
    static _Alignas(PAGE) uint64_t content[PAGE / sizeof(uint64_t)];
    struct uffdio_copy copy = {
        .dst = (uint64_t)(uintptr_t)examination->page, .src = (uint64_t)(uintptr_t)content, .len = PAGE};
    struct uffdio_range range = {copy.dst, PAGE};
    content[0] = stands ? examination->mark : 0;
    assert_int_equal(ioctl(examination->page_faults, UFFDIO_COPY, &copy), 0);
    pthread_join(examination->thread, NULL);
    assert_int_equal(ioctl(examination->page_faults, UFFDIO_UNREGISTER, &range), 0);
    *examination->page = 0;
}

static void number_given_back_while_it_is_examined_is_the_next_ones(void **state)
{
    static struct {
        _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark;
        uint32_t holder;
    } held[IN_PROGRESS - 1];
    struct examination examination;
    _Alignas(STUBS_MARK_ALIGNMENT) volatile uint64_t mark, other_mark;
    uint32_t holder, other;
    (void)state;
    skip_if(keep_page_back(&examination));
    for (unsigned i = 0; i < IN_PROGRESS - 1; i++)
        assert_true(stubs_borrow(&held[i].holder, &held[i].mark));
    for (unsigned stands = 0; stands < 2; stands++) {
        /* No other has taken it meanwhile: the examiner does. */
        begin_examination(&examination);
        stubs_give_back(examination.examined);
        end_examination(&examination, stands);
        assert_true(examination.has_number);
        assert_int_equal(examination.holder, examination.examined);
        /* Another has taken it: the examiner does not, and leaves the other's mark. */
        begin_examination(&examination);
        stubs_give_back(examination.examined);
        assert_true(stubs_borrow(&holder, &mark));
        assert_int_equal(holder, examination.examined);
        end_examination(&examination, stands);
        assert_false(examination.has_number);
        assert_false(stubs_borrow(&other, &other_mark));
        stubs_give_back(holder);
    }
    /* It was not given back: it is still held, or the examiner's. */
    begin_examination(&examination);
    end_examination(&examination, true);
    assert_false(examination.has_number);
    assert_true(stubs_borrow(&holder, &mark));
    assert_int_equal(holder, examination.examined);
    stubs_give_back(holder);
    begin_examination(&examination);
    end_examination(&examination, false);
    assert_true(examination.has_number);
    for (unsigned i = 0; i < IN_PROGRESS - 1; i++)
        stubs_give_back(held[i].holder);
    munmap((void *)(uintptr_t)examination.page, PAGE);
    close(examination.page_faults);
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
        /* Before steps are left, whose numbers come back only where other frames have overwritten their marks. */
        STEPPED(steps_in_progress_keep_their_numbers),
        STEPPED(number_that_is_examined_has_one_holder),
        STEPPED(number_given_back_while_it_is_examined_is_the_next_ones),
        STEPPED(numbers_of_steps_that_are_left_are_taken_over),
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
