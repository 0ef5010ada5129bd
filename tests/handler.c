/* handler.c: the installed handler: installing and taking out, what policies are told and what they may decide,
 * alternate stacks, forks, counters, and how the handler's own faults end. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "child.h"

#define PAGE 4096u

/* ---- one access each, at a known instruction ------------------------------------------------------------------- */

extern char handler_load[], handler_store[];

__attribute__((noinline)) static uint64_t load(const volatile void *address)
{
    uint64_t value;
    __asm__ volatile(".globl handler_load\nhandler_load: movq (%1), %0" : "=&r"(value) : "r"(address) : "memory");
    return value;
}

__attribute__((noinline)) static void store(volatile void *address, uint64_t value)
{
    __asm__ volatile(".globl handler_store\nhandler_store: movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

/* An instruction that no engine does. */
__attribute__((noinline)) static void load_segment(const volatile void *address)
{
    __asm__ volatile("mov (%0), %%gs" : : "r"(address) : "memory");
}

static struct segue_mapping memory;

static enum segue_status add(size_t page, size_t pages, segue_policy *policy, void *context)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)memory.memory + page * PAGE,
                   .size = pages * PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = (char *)memory.alias + page * PAGE},
        .policy = policy,
        .context = context,
    };
    enum segue_status status = segue_region_add(&region);
    mprotect((void *)region.window.base, region.window.size, PROT_NONE);
    return status;
}

static char *page_of(size_t page)
{
    return (char *)memory.memory + page * PAGE;
}

/* Every page's words hold their own offset. */
static int setup(void **state)
{
    (void)state;
    if (segue_mapping_create((void *)0x40000000, 8 * PAGE, &memory) != SEGUE_OK)
        return -1;
    for (uint64_t i = 0; i < 8 * PAGE; i += 8)
        memcpy((char *)memory.alias + i, &i, 8);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return segue_mapping_destroy(&memory) == SEGUE_OK ? 0 : -1;
}

/* Runs one test's body and takes the handler out again. That is done here and not in teardown, since cmocka puts
 * handlers of its own in force around each of the two. */
static void run_body(void **state)
{
    void (*body)(void **) = (void (*)(void **))(uintptr_t)*state;
    body(NULL);
    mprotect(memory.memory, memory.size, PROT_READ | PROT_WRITE);
    for (size_t page = 0; page < 8; page++)
        segue_region_remove(page_of(page));
    enum segue_status status = segue_uninstall(NULL);
    assert_true(status == SEGUE_OK || status == SEGUE_NOT_FOUND);
}

/* ---- installing ------------------------------------------------------------------------------------------------ */

static void install_twice_is_refused(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
}

static void unknown_options_are_refused(void **state)
{
    struct segue_options options = {.flags = 1u << 30};
    (void)state;
    assert_int_equal(segue_install(&options), SEGUE_INVALID);
    options = (struct segue_options){.policy_stack_size = SIZE_MAX};
    assert_int_equal(segue_install(&options), SEGUE_INVALID);
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

static sigjmp_buf jump;
static volatile unsigned jumps;

static void jump_away(int number)
{
    (void)number;
    jumps++;
    siglongjmp(jump, 1);
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
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    sigaction(SIGBUS, &other, &ours);
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

/* ---- what a policy is told ------------------------------------------------------------------------------------- */

struct notes {
    unsigned calls;
    struct segue_fault fault;
    uint64_t address, size;
    uint8_t direction;
    struct segue_regs regs;
    uint32_t mnemonic, accesses;
    struct segue_access access;
    enum segue_status can_step;
    int thread;
    enum segue_verdict verdict;
    /* Pages to open before SEGUE_RETRY. */
    bool open;
};

static enum segue_verdict take_notes(void *context, const struct segue_event *event)
{
    struct notes *notes = context;
    notes->calls++;
    notes->fault = *event->fault;
    notes->address = event->address;
    notes->size = event->size;
    notes->direction = event->direction;
    notes->regs = *event->regs;
    notes->mnemonic = event->plan->insn.mnemonic;
    notes->accesses = event->plan->access_count;
    notes->access = event->plan->accesses[0];
    notes->can_step = event->can_step;
    notes->thread = event->thread;
    if (notes->open)
        mprotect((void *)(event->address & ~(uint64_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
    errno = EILSEQ;
    return notes->verdict;
}

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
    assert_int_equal(notes.address, (uint64_t)page_of(1) + 16);
    assert_int_equal(notes.size, 8);
    assert_int_equal(notes.direction, SEGUE_READ);
    assert_int_equal(notes.fault.address, notes.address);
    assert_int_equal(notes.fault.direction, SEGUE_READ);
    assert_int_equal(notes.fault.trap, 14);
    assert_int_equal(notes.regs.rip, (uint64_t)handler_load);
    assert_int_equal(notes.can_step, SEGUE_OK);
    assert_int_equal(notes.thread, syscall(SYS_gettid));
    assert_string_equal(segue_mnemonic_name(notes.mnemonic), "mov");

    store(page_of(1) + 24, 77);
    assert_int_equal(notes.direction, SEGUE_WRITE);
    assert_int_equal(notes.regs.rip, (uint64_t)handler_store);
    assert_int_equal(((uint64_t *)memory.alias)[(PAGE + 24) / 8], 77);
}

static void straddling_access_tells_each_region_its_own_part(void **state)
{
    struct notes first = {.verdict = SEGUE_STEP}, second = {.verdict = SEGUE_STEP};
    uint64_t expected;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &first), SEGUE_OK);
    assert_int_equal(add(2, 1, take_notes, &second), SEGUE_OK);
    memcpy(&expected, (char *)memory.alias + 2 * PAGE - 3, 8);
    assert_int_equal(load(page_of(2) - 3), expected);
    assert_int_equal(first.address, (uint64_t)page_of(2) - 3);
    assert_int_equal(first.size, 3);
    assert_int_equal(second.address, (uint64_t)page_of(2));
    assert_int_equal(second.size, 5);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(first.access.size, 8);

    /* The first page open: the processor reports the second page's first byte. */
    mprotect(page_of(1), PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(load(page_of(2) - 3), expected);
    assert_int_equal(second.fault.address, (uint64_t)page_of(2));
    assert_int_equal(second.calls, 2);
}

static void write_is_reported_as_read_and_write_where_asked(void **state)
{
    struct notes notes = {.verdict = SEGUE_STEP};
    struct segue_region region = {
        .window = {.base = (uint64_t)page_of(0), .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = memory.alias},
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
    assert_int_equal(notes.address, (uint64_t)page_of(0));
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
    const uint64_t value = 0x1122334455667788;
    uint64_t found;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, take_notes, &first), SEGUE_OK);
    assert_int_equal(add(2, 1, retry_once, &second), SEGUE_OK);
    store(page_of(2) - 4, value);
    memcpy(&found, (char *)memory.alias + 2 * PAGE - 4, 8);
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
        store(page_of(2) - 4, 1);
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
    print_message("SKIP: 50,000 signals into the library's first instructions take a sanitizer's build minutes\n");
    skip();
#endif
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, count_not_inside, &not_inside), SEGUE_OK);
    sigaction(SIGALRM, &often, NULL);
    alarms = 0;
    fault_and_go_on(SIGALRM);
    while (alarms < 50000)
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

/* ---- regions --------------------------------------------------------------------------------------------------- */

static void bad_regions_are_refused(void **state)
{
    const struct segue_region good = {
        .window = {.base = (uint64_t)page_of(2), .size = 2 * PAGE, .kind = SEGUE_WINDOW_EXPOSED}};
    struct segue_region region, found;
    (void)state;
    assert_int_equal(segue_region_add(NULL), SEGUE_INVALID);
    region = good, region.window.size = 0;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.size = PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.base += 8;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.base = ~(uint64_t)0 - PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.size = ~(uint64_t)0 - PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.flags = 1u << 31;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = (enum segue_window_kind)9;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = SEGUE_WINDOW_ALIAS;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region.window.alias = (char *)memory.alias + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = SEGUE_WINDOW_CALLBACK;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);

    assert_int_equal(segue_region_add(&good), SEGUE_OK);
    assert_int_equal(segue_region_add(&good), SEGUE_OVERLAP);
    region = good, region.window.base += PAGE;
    assert_int_equal(segue_region_add(&region), SEGUE_OVERLAP);
    region = good, region.window.base -= PAGE, region.window.size = 5 * PAGE;
    assert_int_equal(segue_region_add(&region), SEGUE_OVERLAP);
    assert_int_equal(segue_region_find(page_of(3) + 5, &found), SEGUE_OK);
    assert_int_equal(found.window.base, good.window.base);
    assert_int_equal(segue_region_find(page_of(4), &found), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_find(page_of(3), NULL), SEGUE_INVALID);
    assert_int_equal(segue_region_remove(page_of(3)), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_remove(page_of(2) + 1), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_remove(page_of(2)), SEGUE_OK);
    assert_int_equal(segue_region_remove(page_of(2)), SEGUE_NOT_FOUND);
}

struct gate {
    volatile int inside, open, removed;
};

static enum segue_verdict wait_at_gate(void *context, const struct segue_event *event)
{
    struct gate *gate = context;
    (void)event;
    gate->inside = 1;
    while (!gate->open)
        sched_yield();
    return SEGUE_STEP;
}

static void *load_second_word(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)load(page_of(0) + 8);
}

static void *remove_first_page(void *context)
{
    struct gate *gate = context;
    enum segue_status status = segue_region_remove(page_of(0));
    gate->removed = 1;
    return (void *)(uintptr_t)status;
}

static void remove_waits_for_a_policy_in_progress(void **state)
{
    struct gate gate = {0};
    pthread_t faulting, removing;
    void *seen, *status;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pthread_create(&removing, NULL, remove_first_page, &gate);
    usleep(20000);
    assert_int_equal(gate.removed, 0);
    gate.open = 1;
    pthread_join(faulting, &seen);
    pthread_join(removing, &status);
    assert_int_equal((uintptr_t)seen, 8);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
}

struct race {
    volatile int stop;
    uint64_t loads;
};

static void *load_for_ever(void *context)
{
    struct race *race = context;
    while (!race->stop) {
        if (load(page_of(0) + 16) != 16)
            abort();
        race->loads++;
    }
    return NULL;
}

/* A fault that happened before its region was removed is looked at after: the page is open by then, and it is no crash.
 */
static void fault_that_outlives_its_region_is_tried_again(void **state)
{
    struct race race = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    pthread_create(&thread, NULL, load_for_ever, &race);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
        for (volatile int wait = 0; wait < 300; wait++)
            ;
        mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE);
        assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    }
    race.stop = 1;
    pthread_join(thread, NULL);
    assert_true(race.loads > 0);
}

/* A timer's handler leaves by siglongjmp wherever it finds the thread, very often inside the serving of a fault.
 * Neither the thread nor a remover may then take that fault for one in progress. */
static void service_that_is_left_by_longjmp_is_over(void **state)
{
    struct itimerval often = {.it_interval = {.tv_usec = 37}, .it_value = {.tv_usec = 37}}, never = {.it_value = {0}};
    pthread_t removing;
    void *status;
    struct gate gate = {0};
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    print_message("SKIP: the sanitizer takes longer over a siglongjmp than the timer leaves it\n");
    skip();
#endif
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, NULL, NULL), SEGUE_OK);
    signal(SIGALRM, jump_away);
    setitimer(ITIMER_REAL, &often, NULL);
    sigsetjmp(jump, 1);
    while (jumps < 10000)
        assert_int_equal(load(page_of(0) + 8), 8);
    setitimer(ITIMER_REAL, &never, NULL);
    /* Ignoring drops one that is pending; later tests want alarms that end a hang. */
    signal(SIGALRM, SIG_IGN);
    signal(SIGALRM, SIG_DFL);
    /* Another thread need not wait for this one, which does not fault any more. */
    pthread_create(&removing, NULL, remove_first_page, &gate);
    pthread_join(removing, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
    assert_int_equal(segue_region_remove(page_of(1)), SEGUE_OK);
}

/* The same while a region is being looked up: the thread then neither faults nor looks again. */
static void *be_left_looking_up(void *context)
{
    struct gate *gate = context;
    struct segue_region found;
    sigset_t alarms_only;
    sigemptyset(&alarms_only);
    sigaddset(&alarms_only, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms_only, NULL);
    sigsetjmp(jump, 1);
    while (jumps < 5000) {
        struct itimerval soon = {.it_value = {.tv_usec = 1 + jumps % 40}};
        setitimer(ITIMER_REAL, &soon, NULL);
        for (unsigned seen = jumps; jumps == seen;)
            segue_region_find(page_of(0), &found);
    }
    gate->inside = 1;
    while (!gate->open)
        usleep(1000);
    return NULL;
}

static void lookup_that_is_left_by_longjmp_is_over(void **state)
{
    struct gate gate = {0};
    struct sigaction away = {.sa_handler = jump_away};
    sigset_t alarms_only;
    pthread_t thread, removing;
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    print_message("SKIP: the sanitizer takes longer over a siglongjmp than the timer leaves it\n");
    skip();
#endif
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    jumps = 0;
    sigaction(SIGALRM, &away, NULL);
    sigemptyset(&alarms_only);
    sigaddset(&alarms_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms_only, NULL);
    pthread_create(&thread, NULL, be_left_looking_up, &gate);
    while (!gate.inside)
        usleep(1000);
    pthread_create(&removing, NULL, remove_first_page, &gate);
    for (int i = 0; i < 500 && !gate.removed; i++)
        usleep(1000);
    int removed = gate.removed;
    gate.open = 1;
    pthread_join(thread, NULL);
    pthread_join(removing, NULL);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarms_only, NULL);
    assert_int_equal(removed, 1);
}

/* The same for a thread that is left in the middle for certain, and for one that has ended there. */
static enum segue_verdict leave_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    siglongjmp(jump, 1);
}

static void *be_left_in_the_middle(void *context)
{
    struct gate *gate = context;
    if (!sigsetjmp(jump, 1))
        load(page_of(0));
    gate->inside = 1;
    while (!gate->open)
        usleep(1000);
    return NULL;
}

static enum segue_verdict end_thread(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    pthread_exit(NULL);
}

static void remover_asks_those_that_it_waits_long_for(void **state)
{
    struct gate gate = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, leave_policy, NULL), SEGUE_OK);
    pthread_create(&thread, NULL, be_left_in_the_middle, &gate);
    while (!gate.inside)
        usleep(1000);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    gate.open = 1;
    pthread_join(thread, NULL);

    assert_int_equal(add(0, 1, end_thread, NULL), SEGUE_OK);
    pthread_create(&thread, NULL, load_second_word, NULL);
    pthread_join(thread, NULL);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
}

static struct sigaction covered;

static void call_covered(int number, siginfo_t *info, void *context)
{
    covered.sa_sigaction(number, info, context);
}

/* A handler over ours must not be asked; that a thread has ended is known without. */
static void ended_thread_is_noticed_under_another_handler(void **state)
{
    struct sigaction over = {.sa_sigaction = call_covered, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, end_thread, NULL), SEGUE_OK);
    sigaction(SIGSEGV, &over, &covered);
    pthread_create(&thread, NULL, load_second_word, NULL);
    pthread_join(thread, NULL);
    alarm(20);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    alarm(0);
    sigaction(SIGSEGV, &covered, NULL);
}

/* ---- stacks ---------------------------------------------------------------------------------------------------- */

static void fault_with_no_stack_left_is_stepped(void **state)
{
    uint64_t value;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    __asm__ volatile("movq %%rsp, %%r12\n"
                     "movl $8, %%esp\n"
                     "movq 64(%1), %0\n"
                     "movq %%r12, %%rsp"
                     : "=&r"(value)
                     : "r"(page_of(0))
                     : "r12", "memory");
    assert_int_equal(value, 64);
}

static void own_stack_is_used_where_asked(void **state)
{
    struct segue_options options = {.flags = SEGUE_INSTALL_OWN_STACK};
    stack_t stack;
    (void)state;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, SS_DISABLE);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
}

static void attached_stack_is_large_enough_and_guarded(void **state)
{
    stack_t stack;
    unsigned char resident;
    char byte;
    (void)state;
    assert_int_equal(segue_thread_attach(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_thread_attach(), SEGUE_EXISTS);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, 0);
    assert_true(stack.ss_size >= getauxval(51) + 65536);
    assert_int_equal(mincore((char *)stack.ss_sp - PAGE, PAGE, &resident), 0);
    assert_int_equal(segue_peek(&byte, (uint64_t)stack.ss_sp - 1, 1), 0);
    assert_int_equal(segue_peek(&byte, (uint64_t)stack.ss_sp, 1), 1);
    assert_int_equal(segue_thread_detach(), SEGUE_OK);
    assert_int_equal(segue_thread_detach(), SEGUE_NOT_FOUND);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, SS_DISABLE);
}

/* How much of the alternate stack has ever been written to. */
static size_t stack_used(const stack_t *stack)
{
    const char *bottom = stack->ss_sp;
    size_t untouched = 0;
    while (untouched < stack->ss_size && bottom[untouched] == 0x55)
        untouched++;
    return stack->ss_size - untouched;
}

/* thread_stack_need allows 32 KiB for four faults one inside the other; a sanitizer's frames are larger. */
static void deepest_way_keeps_to_its_share_of_the_stack(void **state)
{
    stack_t stack;
    struct notes notes = {.verdict = SEGUE_STEP};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    sigaltstack(NULL, &stack);
    memset(stack.ss_sp, 0x55, stack.ss_size);
    assert_int_equal(add(1, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(add(2, 1, NULL, NULL), SEGUE_OK);
    load(page_of(2) - 3);
    store(page_of(2) - 3, 1);
    assert_int_equal(add(0, 1, take_notes, &notes), SEGUE_OK);
    notes.open = true;
    notes.verdict = SEGUE_RETRY;
    load_segment(page_of(0));
    size_t used = stack_used(&stack);
#if defined(__SANITIZE_ADDRESS__)
    assert_true(used < stack.ss_size);
#else
    assert_in_range(used, getauxval(51) / 2, getauxval(51) + 32768 / 4);
#endif
}

static void large_stack_that_a_thread_has_is_kept(void **state)
{
    stack_t own = {.ss_sp = malloc(1 << 20), .ss_size = 1 << 20}, now, none = {.ss_flags = SS_DISABLE};
    (void)state;
    sigaltstack(&own, NULL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    sigaltstack(NULL, &now);
    assert_ptr_equal(now.ss_sp, own.ss_sp);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaltstack(NULL, &now);
    assert_ptr_equal(now.ss_sp, own.ss_sp);
    sigaltstack(&none, NULL);
    free(own.ss_sp);
}

static void *attach_and_load(void *unused)
{
    (void)unused;
    if (segue_thread_attach() != SEGUE_OK || load(page_of(0) + 8) != 8)
        abort();
    return NULL;
}

static size_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void thread_that_ends_gives_its_stack_back(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    size_t before = 0;
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, attach_and_load, NULL);
        pthread_join(thread, NULL);
        if (i == 10)
            before = mappings();
    }
    assert_true(mappings() <= before + 4);
}

/* ---- forks ----------------------------------------------------------------------------------------------------- */

static enum segue_verdict fork_here(void *context, const struct segue_event *event)
{
    (void)event;
    *(pid_t *)context = fork();
    return SEGUE_STEP;
}

static void fork_in_a_policy_leaves_both_sides_whole(void **state)
{
    pid_t child = -1;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, fork_here, &child), SEGUE_OK);
    uint64_t value = load(page_of(0) + 8);
    if (child == 0) {
        mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE);
        bool whole = value == 8 && segue_region_remove(page_of(0)) == SEGUE_OK && add(1, 1, NULL, NULL) == SEGUE_OK &&
                     load(page_of(1)) == PAGE;
        _exit(whole ? 0 : 1);
    }
    assert_int_equal(value, 8);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
}

static void fork_while_another_thread_faults_leaves_the_child_free(void **state)
{
    struct gate gate = {0};
    pthread_t faulting;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(segue_region_remove(page_of(0)) == SEGUE_OK ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    gate.open = 1;
    pthread_join(faulting, NULL);
}

/* The child has neither the remover nor the fault that it waits for: there the region is gone. */
static void fork_while_a_region_is_being_removed_leaves_the_child_free(void **state)
{
    struct gate gate = {0};
    pthread_t faulting, removing;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pthread_create(&removing, NULL, remove_first_page, &gate);
    struct segue_region found;
    while (segue_region_find(page_of(0), &found) == SEGUE_OK)
        sched_yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        bool free_again = add(0, 1, NULL, NULL) == SEGUE_OK && load(page_of(0) + 8) == 8 &&
                          segue_region_remove(page_of(0)) == SEGUE_OK && segue_uninstall(NULL) == SEGUE_OK;
        _exit(free_again ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    gate.open = 1;
    pthread_join(faulting, NULL);
    pthread_join(removing, NULL);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
}

static void *install_for_ever(void *context)
{
    struct race *race = context;
    while (!race->stop) {
        segue_install(NULL);
        segue_uninstall(NULL);
    }
    return NULL;
}

static void fork_while_another_thread_installs_leaves_the_child_free(void **state)
{
    struct race race = {0};
    pthread_t thread;
    int status = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    pthread_create(&thread, NULL, install_for_ever, &race);
    for (int i = 0; i < 200 && status == 0; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            enum segue_status installed = segue_install(NULL);
            bool whole = (installed == SEGUE_OK || installed == SEGUE_EXISTS) && segue_uninstall(NULL) == SEGUE_OK;
            _exit(whole ? 0 : 1);
        }
        waitpid(child, &status, 0);
    }
    race.stop = 1;
    pthread_join(thread, NULL);
    assert_int_equal(status, 0);
}

/* ---- faults as an embedder's own handler reads them ------------------------------------------------------------- */

static struct segue_fault last_fault;
static enum segue_status last_status;

static void read_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    last_status = segue_fault_read(info, context, &last_fault);
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
    assert_int_equal(last_fault.address, (uint64_t)page_of(1) + 5);
    assert_int_equal(last_fault.direction, SEGUE_READ);
    if (!sigsetjmp(escape, 1))
        store(page_of(1) + 6, 1);
    assert_int_equal(last_fault.direction, SEGUE_WRITE);
    /* Over the edge: the closed page's first byte. */
    if (!sigsetjmp(escape, 1))
        store(page_of(1) - 4, 1);
    assert_int_equal(last_fault.address, (uint64_t)page_of(1));
    if (!sigsetjmp(escape, 1))
        ((void (*)(void))(uintptr_t)page_of(0))();
    assert_int_equal(last_fault.direction, SEGUE_FETCH);
    assert_int_equal(last_fault.address, (uint64_t)page_of(0));
}

static void address_of_a_general_protection_fault_comes_from_the_decoder(void **state)
{
    (void)state;
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
    assert_int_equal(segue_fault_read(NULL, NULL, NULL), SEGUE_INVALID);
}

/* ---- the handler's own faults ----------------------------------------------------------------------------------- */

static enum segue_verdict fault_again(void *context, const struct segue_event *event)
{
    (void)event;
    load(context);
    return SEGUE_STEP;
}

static int policy_that_faults_in_its_own_region(void)
{
    setup(NULL);
    segue_install(NULL);
    add(0, 1, fault_again, page_of(0) + 16);
    load(page_of(0));
    return 1;
}

static enum segue_verdict fault_elsewhere(void *context, const struct segue_event *event)
{
    (void)event;
    load(context);
    return SEGUE_STEP;
}

static int policy_that_crashes(void)
{
    setup(NULL);
    segue_install(NULL);
    add(0, 1, fault_elsewhere, (void *)16);
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
    segue_install(NULL);
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
    setup(NULL);
    segue_install(NULL);
    add(0, 1, overflow_alternate_stack, NULL);
    load(page_of(0));
    return 1;
}

static const struct child_case cases[] = {
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

#define TEST(name)                                                                                                     \
    {                                                                                                                  \
#name, run_body, setup, teardown, (void *)(uintptr_t)(name)                                                    \
    }

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        TEST(install_twice_is_refused),
        TEST(unknown_options_are_refused),
        TEST(uninstall_puts_the_previous_handler_back),
        TEST(uninstall_puts_no_handler_back_that_has_had_its_one_signal),
        TEST(uninstall_when_not_last_says_who_is),
        TEST(uninstall_with_regions_is_refused),
        TEST(sigbus_can_be_left_alone),
        TEST(policy_is_told_the_whole_access),
        TEST(straddling_access_tells_each_region_its_own_part),
        TEST(write_is_reported_as_read_and_write_where_asked),
        TEST(instruction_that_cannot_be_stepped_is_told_and_counted),
        TEST(execution_of_a_protected_page_is_a_fetch),
        TEST(retry_runs_the_instruction_again),
        TEST(every_region_must_agree),
        TEST(nothing_is_done_if_one_region_passes),
        TEST(what_may_not_be_done_inside_a_fault_is_refused),
        TEST(stack_that_disarms_itself_is_known_for_what_it_is),
        TEST(fault_is_known_whatever_interrupts_its_beginning),
        TEST(fault_inside_a_policy_is_served),
        TEST(counters_add_up),
        TEST(bad_regions_are_refused),
        TEST(remove_waits_for_a_policy_in_progress),
        TEST(fault_that_outlives_its_region_is_tried_again),
        TEST(service_that_is_left_by_longjmp_is_over),
        TEST(lookup_that_is_left_by_longjmp_is_over),
        TEST(remover_asks_those_that_it_waits_long_for),
        TEST(ended_thread_is_noticed_under_another_handler),
        TEST(fault_with_no_stack_left_is_stepped),
        TEST(own_stack_is_used_where_asked),
        TEST(attached_stack_is_large_enough_and_guarded),
        TEST(deepest_way_keeps_to_its_share_of_the_stack),
        TEST(large_stack_that_a_thread_has_is_kept),
        TEST(thread_that_ends_gives_its_stack_back),
        TEST(fork_in_a_policy_leaves_both_sides_whole),
        TEST(fork_while_another_thread_faults_leaves_the_child_free),
        TEST(fork_while_a_region_is_being_removed_leaves_the_child_free),
        TEST(fork_while_another_thread_installs_leaves_the_child_free),
        TEST(fault_is_read_from_the_frame),
        TEST(address_of_a_general_protection_fault_comes_from_the_decoder),
        TEST(sent_signal_is_no_fault),
        TEST(recursion_ends_in_a_report_and_the_right_signal),
        TEST(crash_in_a_policy_kills_with_its_own_signal),
        TEST(stack_overflow_kills_as_without_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
