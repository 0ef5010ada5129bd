/* handler_faults.c: faults as an embedder's own handler reads them, and how faults inside our own end. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/posix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handler_fixture.h"
#include "tests/support/child.h"

/* ---- faults as an embedder's own handler reads them ------------------------------------------------------------ */

static sigjmp_buf escape;

static struct segue_fault last_fault;
static enum segue_status last_status;

static void read_fault(int number, siginfo_t *info, void *context)
{
    struct segue_frame frame;
    (void)number;
    last_status = segue_frame_open(&frame, info, context);
    if (last_status == SEGUE_HANDLED)
        return;
    last_fault = frame.fault;
    siglongjmp(escape, 1);
}

/* cmocka's own handlers come back when the test ends. */
static void use_own_handler(void)
{
    struct sigaction action = {.sa_sigaction = read_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void fault_is_read_from_the_frame(void **state)
{
    (void)state;
    use_own_handler();
    mprotect(page_of(1), PAGE, PROT_NONE);
    if (!sigsetjmp(escape, 1))
        load(page_of(1) + 5);
    assert_int_equal(last_status, SEGUE_OK);
    assert_true(last_fault.address_known);
    assert_int_equal(last_fault.address, (uintptr_t)page_of(1) + 5);
    assert_int_equal(last_fault.direction, SEGUE_READ);
    if (!sigsetjmp(escape, 1))
        store(page_of(1) + 6, 1);
    assert_int_equal(last_fault.direction, SEGUE_WRITE);
    /* Over the edge: the closed page's first byte. */
    if (!sigsetjmp(escape, 1))
        store(page_of(1) - sizeof(long) / 2, 1);
    assert_int_equal(last_fault.address, (uintptr_t)page_of(1));
    if (!sigsetjmp(escape, 1))
        ((void (*)(void))(uintptr_t)page_of(0))();
    assert_int_equal(last_fault.direction, SEGUE_FETCH);
    assert_int_equal(last_fault.address, (uintptr_t)page_of(0));
}

static void address_of_a_general_protection_fault_comes_from_the_decoder(void **state)
{
    (void)state;
    /* Each address of 32 bits is canonical. */
    if (sizeof(void *) < 8)
        skip();
    use_own_handler();
    /* A page fault before, so that a stale address lies in the frame. */
    mprotect(page_of(1), PAGE, PROT_NONE);
    if (!sigsetjmp(escape, 1))
        load(page_of(1) + 5);
    if (!sigsetjmp(escape, 1))
        load((void *)0x123456789abcdef0);
    assert_int_equal(last_status, SEGUE_OK);
    assert_int_equal(last_fault.trap, 13);
    assert_true(last_fault.address_known);
    assert_int_equal(last_fault.address, 0x123456789abcdef0);
    assert_int_equal(last_fault.direction, SEGUE_READ);
    if (!sigsetjmp(escape, 1))
        store((void *)0xf23456789abcdef0, 1);
    assert_int_equal(last_fault.address, 0xf23456789abcdef0);
    assert_int_equal(last_fault.direction, SEGUE_WRITE);
    /* A privileged instruction has no address at all. */
    if (!sigsetjmp(escape, 1))
        __asm__ volatile("hlt");
    assert_int_equal(last_fault.trap, 13);
    assert_false(last_fault.address_known);
}

static void sent_signal_is_no_fault(void **state)
{
    (void)state;
    use_own_handler();
    if (!sigsetjmp(escape, 1))
        raise(SIGSEGV);
    assert_int_equal(last_status, SEGUE_NOT_FOUND);
    assert_int_equal(segue_frame_open(NULL, NULL, NULL), SEGUE_INVALID);
}

/* ---- signals that are not faults, and their handlers ---- */

/* The kernel reaches memory on the program's behalf without a signal: nothing to step, and nothing that hangs. */
static void system_call_on_a_closed_page_fails(void **state)
{
    struct segue_counters counters;
    int ends[2];
    (void)state;
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(pipe(ends), 0);
    errno = 0;
    assert_int_equal(write(ends[1], page_of(0), 8), -1);
    assert_int_equal(errno, EFAULT);
    segue_counters_read(&counters);
    assert_int_equal(counters.faults, 0);
    /* It is closed, and served, as before. */
    load(page_of(0));
    segue_counters_read(&counters);
    assert_int_equal(counters.stepped, 1);
    close(ends[0]);
    close(ends[1]);
}

static _Atomic int is_in_previous, may_leave;

static void wait_in_previous(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    is_in_previous = 1;
    while (!may_leave)
        sched_yield();
    mprotect(page_of(4), PAGE, PROT_READ);
}

static void *load_not_ours(void *unused)
{
    load(page_of(4));
    return unused;
}

/* While a fault is handed on, in whatever handler the program has, the others' are still ours. */
static int others_are_served_while_one_is_handed_on(void)
{
    struct sigaction previous = {.sa_sigaction = wait_in_previous, .sa_flags = SA_SIGINFO};
    struct segue_counters counters;
    pthread_t thread;
    fixture_setup(NULL);
    sigaction(SIGSEGV, &previous, NULL);
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    add(0, 1, NULL, NULL);
    mprotect(page_of(4), PAGE, PROT_NONE);
    pthread_create(&thread, NULL, load_not_ours, NULL);
    while (!is_in_previous)
        sched_yield();
    for (int i = 0; i < 1000; i++)
        load(page_of(0));
    segue_counters_read(&counters);
    may_leave = 1;
    pthread_join(thread, NULL);
    return counters.stepped == 1000 ? 42 : 1;
}

/* ---- the handler's own faults ---------------------------------------------------------------------------------- */

static enum segue_verdict fault_at(void *context, const struct segue_event *event)
{
    (void)event;
    load(context);
    return SEGUE_STEP;
}

static int policy_that_faults_in_its_own_region(void)
{
    fixture_setup(NULL);
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    add(0, 1, fault_at, page_of(0) + 16);
    load(page_of(0));
    return 1;
}

static int policy_that_crashes(void)
{
    fixture_setup(NULL);
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    add(0, 1, fault_at, (void *)16);
    load(page_of(0));
    return 1;
}

__attribute__((noinline)) static int recurse(volatile char *below)
{
    volatile char space[4096];
    space[0] = below ? below[0] : 1;
    /* Never so, but the compiler cannot know. */
    if (space[0] == 2)
        return 0;
    return recurse(space) + space[0];
}

static int stack_overflow(void)
{
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    return recurse(NULL);
}

static enum segue_verdict overflow_alternate_stack(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return recurse(NULL) ? SEGUE_STEP : SEGUE_RETRY;
}

static int policy_that_overflows_the_alternate_stack(void)
{
    fixture_setup(NULL);
    if (segue_install(NULL) != SEGUE_OK)
        _exit(99);
    add(0, 1, overflow_alternate_stack, NULL);
    load(page_of(0));
    return 1;
}

/* ---- a fault in a policy ---------------------------------------------------------------------------------------- */

static siginfo_t handed_on;
static struct segue_regs handed_regs;

static void note_and_leave(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    handed_on = *info;
    segue_frame_open(&frame, NULL, ucontext);
    handed_regs = frame.regs;
    siglongjmp(escape, 1);
}

static void install_over_own_handler(void)
{
    struct sigaction action = {.sa_sigaction = note_and_leave, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
}

/* Loads from the page; whether the fault was handed on. */
static bool load_is_handed_on(size_t page)
{
    if (sigsetjmp(escape, 1))
        return true;
    load(page_of(page));
    return false;
}

/* The step of the other page's fault meets memory that is not there. */
static enum segue_verdict fault_in_a_block_and_pass(void *context, const struct segue_event *event)
{
    struct segue_trial trial;
    (void)event;
    if (segue_try(&trial) == 0) {
        load(page_of(2));
        segue_try_end(&trial);
    } else {
        *(uint64_t *)context = trial.fault.address;
    }
    return SEGUE_PASS;
}

static void fault_in_a_policy_changes_nothing_of_the_one_around_it(void **state)
{
    uint64_t caught = 0;
    (void)state;
    assert_int_equal(add(0, 1, fault_in_a_block_and_pass, &caught), SEGUE_OK);
    assert_int_equal(add(2, 1, NULL, NULL), SEGUE_OK);
    install_over_own_handler();
    assert_int_equal(munmap((char *)memory.alias + 2 * PAGE, PAGE), 0);
    assert_true(load_is_handed_on(0));
    assert_ptr_equal((void *)(uintptr_t)caught, page_of(2));
    assert_ptr_equal(handed_on.si_addr, page_of(0));
    assert_int_equal(handed_on.si_code, SEGV_ACCERR);
}

static enum segue_verdict step_and_load_and_pass(void *context, const struct segue_event *event)
{
    *(enum segue_status *)context = segue_event_step(event, NULL, NULL);
    load(page_of(4));
    return SEGUE_PASS;
}

static void fault_of_a_step_is_told_though_its_policy_faults_again(void **state)
{
    enum segue_status status = SEGUE_OK;
    (void)state;
    assert_int_equal(add(0, 1, step_and_load_and_pass, &status), SEGUE_OK);
    assert_int_equal(add(4, 1, NULL, NULL), SEGUE_OK);
    install_over_own_handler();
    assert_int_equal(munmap(memory.alias, PAGE), 0);
    assert_true(load_is_handed_on(0));
    assert_int_equal(status, SEGUE_FAULT);
    assert_ptr_equal(handed_on.si_addr, page_of(0));
    assert_int_equal(handed_on.si_code, SEGV_MAPERR);
}

static sigjmp_buf out_of_policy;

static enum segue_verdict leave_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    siglongjmp(out_of_policy, 1);
}

/* What the policy found out by a step, and by one more after it had left a fault of its own. */
struct two_steps {
    enum segue_status first, second;
};

static enum segue_verdict step_and_leave_and_step(void *context, const struct segue_event *event)
{
    struct two_steps *steps = context;
    steps->first = segue_event_step(event, NULL, NULL);
    if (sigsetjmp(out_of_policy, 1) == 0)
        load(page_of(4));
    if (steps->second == SEGUE_OK)
        steps->second = segue_event_step(event, NULL, NULL);
    return SEGUE_PASS;
}

static void add_page_that_is_left(struct two_steps *steps)
{
    assert_int_equal(add(0, 1, step_and_leave_and_step, steps), SEGUE_OK);
    assert_int_equal(add(4, 1, leave_policy, NULL), SEGUE_OK);
}

static void fault_of_a_step_is_told_though_its_policy_left_a_fault(void **state)
{
    struct two_steps steps = {.second = SEGUE_BUSY};
    (void)state;
    add_page_that_is_left(&steps);
    install_over_own_handler();
    assert_int_equal(munmap(memory.alias, PAGE), 0);
    assert_true(load_is_handed_on(0));
    assert_int_equal(steps.first, SEGUE_FAULT);
    assert_ptr_equal(handed_on.si_addr, page_of(0));
    assert_int_equal(handed_on.si_code, SEGV_MAPERR);
}

static void policy_that_left_a_fault_may_step(void **state)
{
    struct two_steps steps = {.second = SEGUE_OK};
    (void)state;
    add_page_that_is_left(&steps);
    install_over_own_handler();
    assert_int_equal(munmap(memory.alias, PAGE), 0);
    assert_true(load_is_handed_on(0));
    assert_int_equal(steps.first, SEGUE_FAULT);
    assert_int_equal(steps.second, SEGUE_FAULT);
}

static enum segue_verdict step_or_pass(void *context, const struct segue_event *event)
{
    (void)context;
    return segue_event_step(event, NULL, NULL) == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

static void string_that_a_policy_steps_goes_on_where_memory_was_missing(void **state)
{
    char *start = page_of(1) - 6, *to = start;
    size_t count = 20;
    (void)state;
    assert_int_equal(add(0, 2, step_or_pass, NULL), SEGUE_OK);
    install_over_own_handler();
    assert_int_equal(munmap((char *)memory.alias + PAGE, PAGE), 0);
    if (sigsetjmp(escape, 1) == 0)
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(7) : "memory");
    assert_ptr_equal(handed_on.si_addr, page_of(1));
    assert_ptr_equal((void *)(uintptr_t)handed_regs.rdi, page_of(1));
    assert_int_equal(handed_regs.rcx, 14);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(((char *)memory.alias)[PAGE - 6 + i], 7);
}

static const struct child_case cases[] = {
    {"others_are_served_while_one_is_handed_on", others_are_served_while_one_is_handed_on},
    {"policy_that_faults_in_its_own_region", policy_that_faults_in_its_own_region},
    {"policy_that_crashes", policy_that_crashes},
    {"stack_overflow", stack_overflow},
    {"policy_that_overflows_the_alternate_stack", policy_that_overflows_the_alternate_stack},
};

static void recursion_ends_in_a_report_and_the_right_signal(void **state)
{
    (void)state;
    struct child_result result = child_run("policy_that_faults_in_its_own_region");
    assert_int_equal(result.signal, SIGSEGV);
    assert_non_null(
        strstr(result.output, "segue: too many faults inside policies inside faults: address 0x0000000040000010"));
}

static void others_are_served_while_the_previous_handler_runs(void **state)
{
    (void)state;
    assert_int_equal(child_run("others_are_served_while_one_is_handed_on").status, 42);
}

static void crash_in_a_policy_kills_with_its_own_signal(void **state)
{
    (void)state;
    struct child_result result = child_run("policy_that_crashes");
    assert_int_equal(result.signal, SIGSEGV);
    assert_non_null(strstr(result.output, "segue: a fault inside a policy or the handler: address 0x0000000000000010"));
    assert_int_equal(child_run("policy_that_overflows_the_alternate_stack").signal, SIGSEGV);
}

static void stack_overflow_kills_as_without_us(void **state)
{
    (void)state;
    assert_int_equal(child_run("stack_overflow").signal, SIGSEGV);
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(fault_is_read_from_the_frame),
        FIXTURE_TEST(address_of_a_general_protection_fault_comes_from_the_decoder),
        FIXTURE_TEST(sent_signal_is_no_fault),
        FIXTURE_TEST(system_call_on_a_closed_page_fails),
        FIXTURE_TEST(others_are_served_while_the_previous_handler_runs),
        FIXTURE_TEST(fault_in_a_policy_changes_nothing_of_the_one_around_it),
        FIXTURE_TEST(fault_of_a_step_is_told_though_its_policy_faults_again),
        FIXTURE_TEST(fault_of_a_step_is_told_though_its_policy_left_a_fault),
        FIXTURE_TEST(policy_that_left_a_fault_may_step),
        FIXTURE_TEST(string_that_a_policy_steps_goes_on_where_memory_was_missing),
        FIXTURE_TEST(recursion_ends_in_a_report_and_the_right_signal),
        FIXTURE_TEST(crash_in_a_policy_kills_with_its_own_signal),
        FIXTURE_TEST(stack_overflow_kills_as_without_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
