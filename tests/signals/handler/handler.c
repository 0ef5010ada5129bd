/* handler.c: the installed handler: installing and taking out, what policies are given, what they may decide. */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "handler_fixture.h"
#include "tests/support/times.h"

/* ---- installing ------------------------------------------------------------------------------------------------ */

static sigjmp_buf jump;
static volatile unsigned jumps;

static void jump_away(int number)
{
    (void)number;
    jumps++;
    siglongjmp(jump, 1);
}

static void install_twice_is_refused(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
}

/* Half of what a load or a store accesses. */
#define HALF (sizeof(long) / 2)

static void unknown_options_are_refused(void **state)
{
    struct segue_options options = {.flags = 1u << 30};
    (void)state;
    assert_int_equal(segue_install(&options), SEGUE_INVALID);
    options = (struct segue_options){.policy_stack_size = SIZE_MAX};
    assert_int_equal(segue_install(&options), SEGUE_INVALID);
    options = (struct segue_options){.flags = SEGUE_INSTALL_MACH_PORT};
    assert_int_equal(segue_install(&options), SEGUE_UNSUPPORTED);
    assert_non_null(strstr(segue_reason(), "SEGUE_INSTALL_MACH_PORT"));
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
}

static void uninstall_puts_the_previous_handler_back(void **state)
{
    struct sigaction before, after;
    (void)state;
    sigaction(SIGSEGV, NULL, &before);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGSEGV, NULL, &after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    assert_int_equal(before.sa_flags, after.sa_flags);
}

static void uninstall_puts_no_handler_back_that_has_had_its_one_signal(void **state)
{
    struct sigaction one_shot = {.sa_handler = jump_away, .sa_flags = (int)SA_RESETHAND}, present;
    (void)state;
    sigaction(SIGSEGV, &one_shot, NULL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGSEGV, NULL, &present);
    assert_ptr_equal(present.sa_handler, jump_away);

    assert_int_equal(segue_install(NULL), SEGUE_OK);
    if (!sigsetjmp(jump, 1))
        load((void *)16);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGSEGV, NULL, &present);
    assert_ptr_equal(present.sa_handler, SIG_DFL);
}

static void uninstall_when_not_last_says_who_is(void **state)
{
    struct segue_owner owner = {0};
    struct sigaction ours, other = {.sa_handler = (void (*)(int))(uintptr_t)abort};
    (void)state;
    assert_int_equal(segue_install_check(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install_check(&owner), SEGUE_OK);
    sigaction(SIGBUS, &other, &ours);
    assert_int_equal(segue_install_check(&owner), SEGUE_NOT_LAST);
    assert_int_equal(owner.signal, SIGBUS);
    owner = (struct segue_owner){0};
    assert_int_equal(segue_uninstall(&owner), SEGUE_NOT_LAST);
    assert_int_equal(owner.signal, SIGBUS);
    assert_ptr_equal(owner.handler, (void *)(uintptr_t)abort);
    assert_string_equal(owner.symbol, "abort");
    assert_non_null(strstr(owner.object, "libc"));
    /* Nothing was taken out: SIGSEGV is served still. */
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
    sigaction(SIGBUS, &ours, NULL);
}

static void uninstall_with_regions_is_refused(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_BUSY);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void sigbus_can_be_left_alone(void **state)
{
    struct segue_options options = {.flags = SEGUE_INSTALL_NO_SIGBUS};
    struct sigaction before, after;
    (void)state;
    sigaction(SIGBUS, NULL, &before);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    sigaction(SIGBUS, NULL, &after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- what a policy is given ------------------------------------------------------------------------------------- */

static void policy_is_told_the_whole_access(void **state)
{
    struct notes notes = {.verdict = SEGUE_STEP};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &notes), SEGUE_OK);
    errno = EDOM;
    assert_int_equal(load(page_of(1) + 16), PAGE + 16);
    assert_int_equal(errno, EDOM);
    assert_int_equal(notes.calls, 1);
    assert_int_equal(notes.address, (uintptr_t)page_of(1) + 16);
    assert_int_equal(notes.size, sizeof(long));
    assert_int_equal(notes.direction, SEGUE_READ);
    assert_int_equal(notes.fault.address, notes.address);
    assert_int_equal(notes.fault.direction, SEGUE_READ);
    assert_int_equal(notes.fault.trap, 14);
    assert_int_equal(notes.regs.rip, (uintptr_t)handler_load);
    assert_int_equal(notes.can_step, SEGUE_OK);
    assert_int_equal(notes.thread, syscall(SYS_gettid));
    assert_string_equal(segue_mnemonic_name(notes.mnemonic), "mov");

    store(page_of(1) + 24, 77);
    assert_int_equal(notes.direction, SEGUE_WRITE);
    assert_int_equal(notes.regs.rip, (uintptr_t)handler_store);
    assert_int_equal(((uint64_t *)memory.alias)[(PAGE + 24) / 8], 77);
}

static void straddling_access_tells_each_region_its_own_part(void **state)
{
    struct notes first = {.verdict = SEGUE_STEP}, second = {.verdict = SEGUE_STEP};
    unsigned long expected;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &first), SEGUE_OK);
    assert_int_equal(add(2, 1, take_notes, &second), SEGUE_OK);
    memcpy(&expected, (char *)memory.alias + 2 * PAGE - 3, sizeof expected);
    assert_int_equal(load(page_of(2) - 3), expected);
    assert_int_equal(first.address, (uintptr_t)page_of(2) - 3);
    assert_int_equal(first.size, 3);
    assert_int_equal(second.address, (uintptr_t)page_of(2));
    assert_int_equal(second.size, sizeof expected - 3);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(first.access.size, sizeof expected);

    /* The first page open: the processor reports the second page's first byte. */
    mprotect(page_of(1), PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(load(page_of(2) - 3), expected);
    assert_int_equal(second.fault.address, (uintptr_t)page_of(2));
    assert_int_equal(second.calls, 2);
}

static void write_is_reported_as_read_and_write_where_asked(void **state)
{
    struct notes notes = {.verdict = SEGUE_STEP};
    struct segue_region region = {
        .window = {.base = (uintptr_t)page_of(0), .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = memory.alias},
        .policy = take_notes,
        .context = &notes,
        .flags = SEGUE_REGION_WRITE_IS_READ_WRITE,
    };
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(page_of(0), PAGE, PROT_NONE);
    store(page_of(0), 1);
    assert_int_equal(notes.direction, SEGUE_READ | SEGUE_WRITE);
    load(page_of(0));
    assert_int_equal(notes.direction, SEGUE_READ);
}

static void instruction_that_cannot_be_stepped_is_told_and_counted(void **state)
{
    struct notes notes = {.verdict = SEGUE_RETRY, .open = true};
    struct segue_refusal refusals[4] = {{0}};
    size_t count;
    (void)state;
    *(uint16_t *)memory.alias = 0;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, take_notes, &notes), SEGUE_OK);
    load_segment(page_of(0));
    assert_int_equal(notes.calls, 1);
    assert_int_equal(notes.can_step, SEGUE_UNSUPPORTED);
    assert_int_equal(notes.accesses, 1);
    assert_int_equal(notes.access.size, 2);
    assert_int_equal(segue_refusals_read(refusals, 4, &count), SEGUE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(refusals[0].mnemonic, notes.mnemonic);
    assert_int_equal(refusals[0].count, 1);
    assert_int_equal(segue_refusals_read(NULL, 0, &count), SEGUE_TOO_SMALL);
}

static enum segue_verdict open_for_execution(void *context, const struct segue_event *event)
{
    struct notes *notes = context;
    take_notes(context, event);
    mprotect(page_of(0), PAGE, PROT_READ | PROT_EXEC);
    return notes->verdict;
}

static void execution_of_a_protected_page_is_a_fetch(void **state)
{
    struct notes notes = {.verdict = SEGUE_RETRY};
    (void)state;
    *(uint8_t *)memory.alias = 0xc3; /* ret */
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, open_for_execution, &notes), SEGUE_OK);
    ((void (*)(void))(uintptr_t)page_of(0))();
    assert_int_equal(notes.calls, 1);
    assert_int_equal(notes.direction, SEGUE_FETCH);
    assert_int_equal(notes.address, (uintptr_t)page_of(0));
    assert_int_equal(notes.can_step, SEGUE_UNSUPPORTED);
}

/* ---- what a policy decides ------------------------------------------------------------------------------------- */

static void retry_runs_the_instruction_again(void **state)
{
    struct notes notes = {.verdict = SEGUE_RETRY, .open = true};
    struct segue_counters before, after;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, take_notes, &notes), SEGUE_OK);
    segue_counters_read(&before);
    assert_int_equal(load(page_of(0) + 32), 32);
    segue_counters_read(&after);
    assert_int_equal(notes.calls, 1);
    assert_int_equal(after.retried - before.retried, 1);
    assert_int_equal(after.faults - before.faults, 1);
    assert_int_equal(after.stepped, before.stepped);
}

static enum segue_verdict retry_once(void *context, const struct segue_event *event)
{
    struct notes *notes = context;
    take_notes(context, event);
    return notes->calls == 1 ? SEGUE_RETRY : SEGUE_STEP;
}

static void every_region_must_agree(void **state)
{
    struct notes first = {.verdict = SEGUE_STEP}, second = {0};
    const unsigned long value = (unsigned long)0x1122334455667788;
    unsigned long found;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &first), SEGUE_OK);
    assert_int_equal(add(2, 1, retry_once, &second), SEGUE_OK);
    store(page_of(2) - HALF, value);
    memcpy(&found, (char *)memory.alias + 2 * PAGE - HALF, sizeof found);
    assert_int_equal(found, value);
    assert_int_equal(first.calls, 2);
    assert_int_equal(second.calls, 2);
}

static sigjmp_buf escape;
static unsigned escapes;

static void leave_by_longjmp(int number)
{
    (void)number;
    escapes++;
    siglongjmp(escape, 1);
}

static void nothing_is_done_if_one_region_passes(void **state)
{
    struct notes first = {.verdict = SEGUE_STEP}, second = {.verdict = SEGUE_PASS};
    char before[16];
    (void)state;
    memcpy(before, (char *)memory.alias + 2 * PAGE - 8, sizeof before);
    signal(SIGSEGV, leave_by_longjmp);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &first), SEGUE_OK);
    assert_int_equal(add(2, 1, take_notes, &second), SEGUE_OK);
    if (!sigsetjmp(escape, 1))
        store(page_of(2) - HALF, 1);
    assert_int_equal(escapes, 1);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_memory_equal(before, (char *)memory.alias + 2 * PAGE - 8, sizeof before);
    /* Whoever left by longjmp left nothing behind: the region can go. */
    assert_int_equal(segue_region_remove(page_of(1)), SEGUE_OK);
}

static enum segue_verdict try_everything(void *context, const struct segue_event *event)
{
    enum segue_status *answers = context;
    struct segue_region region = {.window = {.base = 0x50000000, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}};
    (void)event;
    answers[0] = segue_region_add(&region);
    answers[1] = segue_region_remove(page_of(0));
    answers[2] = segue_install(NULL);
    answers[3] = segue_uninstall(NULL);
    answers[4] = segue_thread_attach();
    answers[5] = segue_thread_detach();
    return SEGUE_STEP;
}

static void what_may_not_be_done_inside_a_fault_is_refused(void **state)
{
    enum segue_status answers[6] = {0};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, try_everything, answers), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(answers[i], SEGUE_BUSY);
}

/* The kernel then says that there is no alternate stack, as long as a handler is on it. */
static void stack_that_disarms_itself_is_known_for_what_it_is(void **state)
{
    enum segue_status answers[6] = {0};
    stack_t kept, own = {.ss_size = 1 << 20, .ss_flags = (int)(1u << 31)};
    (void)state;
    own.ss_sp = mmap(NULL, own.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, try_everything, answers), SEGUE_OK);
    assert_int_equal(sigaltstack(&own, &kept), 0);
    uint64_t value = load(page_of(0) + 8);
    assert_int_equal(sigaltstack(&kept, NULL), 0);
    munmap(own.ss_sp, own.ss_size);
    assert_int_equal(value, 8);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(answers[i], SEGUE_BUSY);
}

/* Handlers that fault come anywhere in the serving of faults; a policy is inside a fault all the same. */
static enum segue_verdict count_not_inside(void *context, const struct segue_event *event)
{
    (void)event;
    if (segue_region_remove((void *)0x1000) != SEGUE_BUSY)
        ++*(unsigned *)context;
    return SEGUE_STEP;
}

static volatile unsigned alarms;

static void fault_and_go_on(int number)
{
    struct itimerval next = {.it_value = {.tv_usec = 1 + ++alarms % 20}};
    (void)number;
    load(page_of(0) + 16);
    setitimer(ITIMER_REAL, &next, NULL);
}

static void fault_is_known_whatever_interrupts_its_beginning(void **state)
{
    struct sigaction often = {.sa_handler = fault_and_go_on, .sa_flags = SA_RESTART};
    unsigned not_inside = 0;
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    print_message("SKIP: 10,000 signals into the library's first instructions take a sanitizer's build minutes\n");
    skip();
#endif
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, count_not_inside, &not_inside), SEGUE_OK);
    sigaction(SIGALRM, &often, NULL);
    alarms = 0;
    fault_and_go_on(SIGALRM);
    while (alarms < 10000 * test_times())
        assert_int_equal(load(page_of(0) + 8), 8);
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0}}, NULL);
    signal(SIGALRM, SIG_DFL);
    assert_int_equal(not_inside, 0);
}

/* Reads a word of another region's closed page. */
static enum segue_verdict read_other_region(void *context, const struct segue_event *event)
{
    (void)event;
    *(uint64_t *)context = load(page_of(3) + 40);
    return SEGUE_STEP;
}

static void fault_inside_a_policy_is_served(void **state)
{
    uint64_t seen = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, read_other_region, &seen), SEGUE_OK);
    assert_int_equal(add(3, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(seen, 3 * PAGE + 40);
}

static void counters_add_up(void **state)
{
    struct segue_counters before, after;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    segue_counters_read(&before);
    for (int i = 0; i < 1000; i++)
        load(page_of(0));
    segue_counters_read(&after);
    assert_int_equal(after.stepped - before.stepped, 1000);
    assert_int_equal(after.faults - before.faults, 1000);
    assert_int_equal(after.faults, after.stepped + after.retried + after.refused + after.passed);
    assert_int_equal(segue_counters_read(NULL), SEGUE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(install_twice_is_refused),
        FIXTURE_TEST(unknown_options_are_refused),
        FIXTURE_TEST(uninstall_puts_the_previous_handler_back),
        FIXTURE_TEST(uninstall_puts_no_handler_back_that_has_had_its_one_signal),
        FIXTURE_TEST(uninstall_when_not_last_says_who_is),
        FIXTURE_TEST(uninstall_with_regions_is_refused),
        FIXTURE_TEST(sigbus_can_be_left_alone),
        FIXTURE_TEST(policy_is_told_the_whole_access),
        FIXTURE_TEST(straddling_access_tells_each_region_its_own_part),
        FIXTURE_TEST(write_is_reported_as_read_and_write_where_asked),
        FIXTURE_TEST(instruction_that_cannot_be_stepped_is_told_and_counted),
        FIXTURE_TEST(execution_of_a_protected_page_is_a_fetch),
        FIXTURE_TEST(retry_runs_the_instruction_again),
        FIXTURE_TEST(every_region_must_agree),
        FIXTURE_TEST(nothing_is_done_if_one_region_passes),
        FIXTURE_TEST(what_may_not_be_done_inside_a_fault_is_refused),
        FIXTURE_TEST(stack_that_disarms_itself_is_known_for_what_it_is),
        FIXTURE_TEST(fault_is_known_whatever_interrupts_its_beginning),
        FIXTURE_TEST(fault_inside_a_policy_is_served),
        FIXTURE_TEST(counters_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
