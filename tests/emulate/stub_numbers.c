/* stub_numbers.c: how the replay engine numbers steps in progress: a step that a handler has left, as many steps as
 * there are numbers, and a number that one thread gives back while another one looks at it. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "emulate/replay/stubs/stubs.h"

#define PAGE 4096u

static struct segue_mapping mapping;
static char *alias;

static void check(enum segue_status status)
{
    assert_string_equal(segue_status_name(status), "SEGUE_OK");
}

static int prepare(void **state)
{
    (void)state;
    check(segue_replay_prepare());
    check(segue_mapping_create(NULL, 2 * PAGE, &mapping));
    alias = mapping.alias;
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
static enum segue_status add_number(uint32_t number, void *to)
{
    unsigned char code[] = {0x81, 0x07, 0, 0, 0, 0};
    const struct segue_window window = {.base = 0x10000, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = to};
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
    (void)state;
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_NODEFER}, before;
    char *closed = alias + PAGE;
    memset(alias, 0, PAGE);
    assert_int_equal(mprotect(closed, PAGE, PROT_NONE), 0);
    sigaction(SIGSEGV, &action, &before);
    for (uint32_t i = 1; i <= LEAVES; i++)
        leave_step(i, closed);
    sigaction(SIGSEGV, &before, NULL);
    mprotect(closed, PAGE, PROT_READ | PROT_WRITE);
    for (uint32_t i = 1; i <= 16; i++)
        check(add_number(i, alias));
    assert_int_equal(*(uint32_t *)alias, 16 * 17 / 2);
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

static void nest(uint32_t most, void (*at_last)(void))
{
    struct sigaction action = {.sa_handler = step_again, .sa_flags = SA_NODEFER}, before;
    enum segue_status outermost = SEGUE_INVALID;
    pthread_attr_t attributes;
    pthread_t thread;
    memset(&nested, 0, sizeof nested);
    nested.closed = alias + PAGE;
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
    (void)state;
    nest(2 * IN_PROGRESS, NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Before steps are left, whose numbers come back only where other frames have overwritten their marks. */
        cmocka_unit_test(steps_in_progress_keep_their_numbers),
        cmocka_unit_test(number_that_is_examined_has_one_holder),
        cmocka_unit_test(number_given_back_while_it_is_examined_is_the_next_ones),
        cmocka_unit_test(numbers_of_steps_that_are_left_are_taken_over),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
