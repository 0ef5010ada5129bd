/* handler_left.c: faults that end half way: a handler of the program's interrupts them and leaves by siglongjmp, at any
 * instruction, or their thread ends. Whatever they held is given back. */
#include "tests/support/test.h"

#include <execinfo.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode/orders.h"
#include "decode/relocate/relocation.h"
#include "emulate/replay/stubs/stubs.h"
#include "handler_fixture.h"
#include "platform/frame/frame.h"
#include "signals/chain/previous.h"
#include "signals/regions/readers.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"

#define TRAP_FLAG 0x100u
/* More than there are places for stubs, and for faults in progress. */
#define MANY 2200
#define CODE_STEP 16

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static sigjmp_buf jump;

/* Handlers come while a fault is served. */
static const struct segue_options interruptible = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};

/* addl $number, (%rdi); ret: each number is an instruction, and a stub, of its own. */
static void (*addition(int number))(void *)
{
    static unsigned char *code;
    unsigned char bytes[] = {0x81, 0x07, 0, 0, 0, 0, 0xc3};
    if (!code)
        code =
            mmap(NULL, (2 * MANY) * CODE_STEP, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *at = code + number % (2 * MANY) * CODE_STEP;
    memcpy(bytes + 2, &number, sizeof number);
    memcpy(at, bytes, sizeof bytes);
    void (*function)(void *);
    memcpy(&function, &at, sizeof function);
    return function;
}

static void is_stepped(int number)
{
    uint32_t before, after;
    memcpy(&before, memory.alias, sizeof before);
    addition(number)(page_of(0));
    memcpy(&after, memory.alias, sizeof after);
    assert_int_equal(after - before, number);
}

/* --- Left in a stub for certain: its access waits for a page, and the one who would bring it interrupts it. --- */

static int page_faults;
static pthread_t interrupted;

static void *interrupt_who_waits(void *unused)
{
    struct uffd_msg message;
    while (read(page_faults, &message, sizeof message) == sizeof message && message.event == UFFD_EVENT_PAGEFAULT)
        pthread_kill(interrupted, SIGUSR1);
    return unused;
}

static void leave(int number)
{
    (void)number;
    siglongjmp(jump, 1);
}

/* A page whose alias never comes. */
static const char *make_page_to_wait_for(struct segue_mapping *mapping)
{
    struct uffdio_api api = {.api = UFFD_API};
    page_faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (page_faults < 0 || ioctl(page_faults, UFFDIO_API, &api) != 0)
        return "there is no userfaultfd";
    assert_int_equal(segue_mapping_create(NULL, PAGE, mapping), SEGUE_OK);
    struct uffdio_register range = {.range = {(uint64_t)(uintptr_t)mapping->alias, PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    return ioctl(page_faults, UFFDIO_REGISTER, &range) == 0 ? NULL : "userfaultfd does not take shared memory";
}

static void stubs_of_steps_that_are_left_are_given_back(void **state)
{
    struct segue_mapping mapping;
    pthread_t thread;
    volatile int left = 0;
    (void)state;
    skip_if(make_page_to_wait_for(&mapping));
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                                             .size = PAGE,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias}};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(mapping.memory, PAGE, PROT_NONE);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    signal(SIGUSR1, leave);
    interrupted = pthread_self();
    pthread_create(&thread, NULL, interrupt_who_waits, NULL);
    for (volatile int i = 1; i <= MANY; i++) {
        if (!sigsetjmp(jump, 1))
            addition(i)(mapping.memory);
        else
            left++;
    }
    assert_int_equal(left, MANY);
    for (int i = 1; i <= 16; i++)
        is_stepped(MANY + i);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    close(page_faults);
    segue_mapping_destroy(&mapping);
    signal(SIGUSR1, SIG_DFL);
}

/* --- Left at any instruction: the thread is made to trap behind each. --- */

/* At the so-manieth trap. */
static unsigned traps_left;
static bool was_left;

static void leave_at_trap(int number)
{
    (void)number;
    if (--traps_left != 0)
        return;
    was_left = true;
    siglongjmp(jump, 1);
}

static enum segue_verdict trap_from_here(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    if (traps_left)
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
    return SEGUE_STEP;
}

static bool is_left_at(unsigned traps, int number)
{
    was_left = false;
    traps_left = traps;
    if (!sigsetjmp(jump, 1))
        addition(number)(page_of(0));
    traps_left = 0;
    return was_left;
}

static void step_may_be_left_at_any_instruction(void **state)
{
    struct sigaction action = {.sa_handler = leave_at_trap, .sa_flags = SA_ONSTACK};
    unsigned steps = 1;
    int number = 1;
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, trap_from_here, NULL), SEGUE_OK);
    sigaction(SIGTRAP, &action, NULL);
    is_stepped(number);
    while (is_left_at(steps, number))
        steps++;
    /* From the policy's return to the way out, where the thread's own flags are in force again. */
    assert_true(steps > 100);
    /* The same where a stub has to be written, which takes a look at all who may hold one. */
    for (unsigned at = 1; is_left_at(at, ++number);)
        at += at < 2 * steps ? 47 : 4999;
    assert_true(number > 8);
    for (int i = 0; i < 64; i++)
        is_stepped(++number);
    signal(SIGTRAP, SIG_DFL);
}

/* --- Blocks that may fault. --- */

static enum segue_verdict leave_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    siglongjmp(jump, 1);
}

static volatile uintptr_t nothing = 8;

static void block_of_a_fault_that_was_left_is_still_there(void **state)
{
    struct segue_trial trial;
    volatile unsigned caught = 0, ended = 0;
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, leave_policy, NULL), SEGUE_OK);
    for (volatile int i = 0; i < 2; i++) {
        if (segue_try(&trial) != 0) {
            caught += trial.fault.address == 8;
            continue;
        }
        if (!sigsetjmp(jump, 1))
            load(page_of(0) + 8);
        if (i == 0)
            *(volatile int *)nothing = 1;
        ended += segue_try_end(&trial) == SEGUE_OK;
    }
    assert_int_equal(caught, 1);
    assert_int_equal(ended, 1);
}

/* A policy's own block is gone with the policy; the one around it is the innermost again. */
static enum segue_verdict leave_policys_block(void *context, const struct segue_event *event)
{
    struct segue_trial trial;
    (void)context;
    (void)event;
    if (segue_try(&trial) == 0)
        siglongjmp(jump, 1);
    return SEGUE_PASS;
}

static void block_of_a_policy_that_was_left_is_gone(void **state)
{
    struct segue_trial trial;
    volatile unsigned caught = 0;
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, leave_policys_block, NULL), SEGUE_OK);
    if (segue_try(&trial) == 0) {
        if (!sigsetjmp(jump, 1))
            load(page_of(0) + 8);
        *(volatile int *)nothing = 1;
        assert_int_equal(segue_try_end(&trial), SEGUE_OK);
    } else {
        caught++;
    }
    assert_int_equal(caught, 1);
}

/* --- Faults inside faults. --- */

static sigjmp_buf inner;
static volatile unsigned left_inside;

static enum segue_verdict leave_inside(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    siglongjmp(inner, 1);
}

static void fault_and_leave(int number)
{
    (void)number;
    for (volatile int i = 0; i < 3 * THREAD_DEPTH; i++) {
        if (!sigsetjmp(inner, 1))
            load(page_of(1) + 8);
        else
            left_inside++;
    }
}

static enum segue_verdict be_interrupted(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    raise(SIGUSR1);
    return SEGUE_STEP;
}

static void faults_of_a_handler_that_interrupts_one_may_be_left(void **state)
{
    struct sigaction action = {.sa_handler = fault_and_leave, .sa_flags = SA_ONSTACK};
    (void)state;
    left_inside = 0;
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, be_interrupted, NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, leave_inside, NULL), SEGUE_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(left_inside, 8 * 3 * THREAD_DEPTH);
    assert_int_equal(thread_self.depth, 0);
    assert_int_equal(thread_self.tickets, thread_self.tickets_left);
    assert_int_equal(segue_region_remove(page_of(1)), SEGUE_OK);
    signal(SIGUSR1, SIG_DFL);
}

/* --- Raw forks. --- */

static struct work *work_in_child;

/* The child has left the policy; whether its fault has given back what it held. */
static int child_has_left(void)
{
    unsigned depth = work_in_child->level.depth;
    alarm(20);
    return depth == 1 && !segue_in_fault() && work_in_child->level.depth == 0 &&
                   segue_region_remove(page_of(0)) == SEGUE_OK
               ? 0
               : 1;
}

static enum segue_verdict fork_raw_and_leave(void *context, const struct segue_event *event)
{
    pid_t *child = context;
    (void)event;
    *child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (*child == 0) {
        work_in_child = thread_self.work;
        siglongjmp(jump, 1);
    }
    return SEGUE_STEP;
}

/* It has another number than the thread that the fault was noted for. */
static void fault_that_the_child_of_a_raw_fork_left_is_over(void **state)
{
    pid_t child = -1;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, fork_raw_and_leave, &child), SEGUE_OK);
    if (sigsetjmp(jump, 1))
        _exit(child_has_left());
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* --- Threads that end. --- */

static enum segue_verdict end_thread(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    pthread_exit(NULL);
}

static void threads_that_end_in_a_fault_take_nothing_along(void **state)
{
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    assert_int_equal(add(0, 1, end_thread, NULL), SEGUE_OK);
    for (int i = 0; i < MANY; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, load_second_word, NULL), 0);
        pthread_join(thread, NULL);
    }
    assert_int_equal(add(1, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(load(page_of(1) + 8), PAGE + 8);
}

static volatile bool has_entered;

static void end_at_trap(int number)
{
    (void)number;
    if (--traps_left == 0)
        syscall(SYS_exit, 0);
}

/* Takes a place among the faults in progress, as a fault begins with, and traps behind each instruction of that. */
static void *enter_and_trap(void *unused)
{
    const struct thread_mark *mark = unused;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    uint32_t place = readers_enter(mark);
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    has_entered = true;
    readers_leave(place);
    return NULL;
}

/* A thread that ends before it has published its fault's regions does not block a remover. */
static void remover_does_not_wait_for_threads_that_ended_as_a_fault_began(void **state)
{
    struct sigaction action = {.sa_handler = end_at_trap};
    unsigned instructions = 0;
    (void)state;
    assert_int_equal(segue_install(&interruptible), SEGUE_OK);
    sigaction(SIGTRAP, &action, NULL);
    alarm(50);
    for (has_entered = false; !has_entered; instructions++) {
        pthread_t thread;
        traps_left = instructions + 1;
        assert_int_equal(pthread_create(&thread, NULL, enter_and_trap, NULL), 0);
        pthread_join(thread, NULL);
        assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
        assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    }
    alarm(0);
    assert_in_range(instructions, 20, 10000);
    signal(SIGTRAP, SIG_DFL);
}

static void *volatile caller;
static volatile unsigned traps, traps_lost;
static volatile bool has_begun;

static void unwind_at_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *ucontext = context;
    void *addresses[64];
    int count = backtrace(addresses, 64);
    bool is_found = false;
    (void)number;
    (void)info;
    if (has_begun)
        ucontext->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    for (int i = 0; i < count; i++)
        is_found |= addresses[i] == caller;
    traps++;
    traps_lost += !is_found;
}

__attribute__((noinline)) static void begin_and_trap(uint64_t flag)
{
    caller = __builtin_return_address(0);
    has_begun = false;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    frame_begin();
    frame_clear_flags(flag);
    has_begun = true;
}

/* Whoever cancels a thread as its fault begins unwinds from there. */
static void thread_is_unwound_from_each_instruction_that_a_fault_begins_with(void **state)
{
    struct sigaction action = {.sa_sigaction = unwind_at_trap, .sa_flags = SA_SIGINFO};
    void *address;
    (void)state;
    backtrace(&address, 1);
    sigaction(SIGTRAP, &action, NULL);
    traps = traps_lost = 0;
    begin_and_trap(1u << 14);
    begin_and_trap(1);
    signal(SIGTRAP, SIG_DFL);
    assert_in_range(traps, 16, 10000);
    assert_int_equal(traps_lost, 0);
}

/* --- The actions that stand behind ours. --- */

static void leave_by_alarm(int number)
{
    (void)number;
    siglongjmp(jump, 1);
}

/* Left at moments that come by themselves: more often than there are entries. */
static void changes_of_an_action_that_are_left_are_over(void **state)
{
    struct platform_action action = {.handler = ACTION_IGNORE}, before;
    volatile unsigned left = 0;
    (void)state;
    previous_read(SIGUSR2, &before);
    signal(SIGALRM, leave_by_alarm);
    for (unsigned i = 0; i < 3000; i++) {
        if (sigsetjmp(jump, 1)) {
            left++;
            continue;
        }
        ualarm(20 + i % 50, 0);
        for (;;)
            previous_exchange(SIGUSR2, &action, NULL);
    }
    signal(SIGALRM, SIG_DFL);
    previous_exchange(SIGUSR2, &before, &action);
    assert_int_equal(action.handler, ACTION_IGNORE);
    assert_int_equal(left, 3000);
}

/* addl $number, (%rdi), in a stub that the holder has then. */
static const unsigned char *stub_of(uint32_t holder, uint32_t number)
{
    unsigned char bytes[] = {0x81, 0x07, 0, 0, 0, 0};
    struct segue_insn insn;
    memcpy(bytes + 2, &number, sizeof number);
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_OK);
    relocation_complete(&insn);
    const void *stub = stubs_hold(holder, &orders_of(&insn)->relocation);
    assert_non_null(stub);
    return stub;
}

/* A fault that is left just after it has taken an area, which is still empty, holds nothing. */
static void area_of_a_fault_that_has_not_begun_gives_back_nothing_of_others(void **state)
{
    unsigned char before[16];
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    uint32_t unused = work_count() - 1;
    while (work_at(unused)->step.holder)
        assert_true(--unused > 1);
    const unsigned char *stub = stub_of(0, 1);
    memcpy(before, stub, sizeof before);
    work_abandon(work_at(unused));
    for (uint32_t i = 2; i < 4 * MANY; i++)
        stub_of(1, i);
    assert_memory_equal(stub, before, sizeof before);
    stubs_let_go(0);
    stubs_let_go(1);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(area_of_a_fault_that_has_not_begun_gives_back_nothing_of_others),
        FIXTURE_TEST(stubs_of_steps_that_are_left_are_given_back),
        FIXTURE_TEST(step_may_be_left_at_any_instruction),
        FIXTURE_TEST(block_of_a_fault_that_was_left_is_still_there),
        FIXTURE_TEST(block_of_a_policy_that_was_left_is_gone),
        FIXTURE_TEST(faults_of_a_handler_that_interrupts_one_may_be_left),
        FIXTURE_TEST(fault_that_the_child_of_a_raw_fork_left_is_over),
        FIXTURE_TEST(threads_that_end_in_a_fault_take_nothing_along),
        FIXTURE_TEST(remover_does_not_wait_for_threads_that_ended_as_a_fault_began),
        cmocka_unit_test(thread_is_unwound_from_each_instruction_that_a_fault_begins_with),
        cmocka_unit_test(changes_of_an_action_that_are_left_are_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
