/* syscalls_again.c: memory becomes a region while a thread is on its way into a call, and the thread is suspended
 * meanwhile: at each instruction of a detour and its gate, and in a policy that is asked; with and without a gate. */
#include "tests/support/test.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "decode/x86/flags.h"
#include "platform/calls/calls.h"
#include "signals/syscalls/pending.h"
#include "signals/threads/thread.h"
#include "syscalls_fixture.h"

#define LAST 50u
#define ROUNDS 20u

/* Sites of the program's own, of 18 bytes: up to the next multiple of 16 there is room for a jump. step_call traps
 * after each instruction from the call on. */
__asm__(".text\n"
        ".macro SITE name\n.p2align 5\n.globl \\name\n\\name:\n.cfi_startproc\n mov %rdi, %rax\n mov %rsi, %rdi\n"
        " mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n syscall\n ret\n.cfi_endproc\n.p2align 5\n.endm\n"
        "SITE detoured_site\nSITE busy_site\nSITE plain_site\nSITE late_site\n"
        ".globl step_call\nstep_call:\n.cfi_startproc\n pushfq\n orq $0x100, (%rsp)\n popfq\n"
        " call detoured_site\n pushfq\n andq $~0x100, (%rsp)\n popfq\n ret\n.cfi_endproc\n");
typedef long call_site(long number, long first, long second, long third, long fourth);
extern call_site detoured_site, busy_site, plain_site, late_site, step_call;

/* gates_x86_64.S */
extern uint64_t calls_targets[CALL_GATES];

/* Memory that becomes a region. */
static struct segue_mapping later;
static bool is_region;

static enum segue_verdict step(void *unused, const struct segue_event *event)
{
    (void)unused;
    (void)event;
    return SEGUE_STEP;
}

static void begin_region(void)
{
    const struct segue_region region = {.window = segue_window_alias(later.memory, PAGE, later.alias), .policy = step};
    is_region = segue_region_add(&region) == SEGUE_OK && mprotect(later.memory, PAGE, PROT_NONE) == 0;
}

static void end_region(void)
{
    assert_true(is_region);
    assert_int_equal(mprotect(later.memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(later.memory), SEGUE_OK);
    is_region = false;
}

static void setup(void)
{
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &later), SEGUE_OK);
}

static void teardown(void)
{
    assert_int_equal(segue_mapping_destroy(&later), SEGUE_OK);
    calls_teardown();
}

/* The site's instruction has become a jump. */
static void make_detour(call_site *site)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)site;
    for (unsigned i = 0; i < 20; i++)
        site(SYS_access, (long)"/", F_OK, 0, 0);
    assert_false(calls_has_call(code, 32));
}

/* ---- at each instruction ---- */

static volatile unsigned steps, suspended_at, sent_back;
static volatile sig_atomic_t was_suspended;

/* As a suspension: the thread is sent back, then memory becomes a region, and the thread goes on. */
static void on_step(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const greg_t rip = registers[REG_RIP], rcx = registers[REG_RCX];
    (void)number;
    if (!was_suspended && ++steps == suspended_at) {
        was_suspended = true;
        pending_look_again((struct native_frame){.info = info, .context = context});
        sent_back += registers[REG_RIP] != rip || registers[REG_RCX] != rcx;
        begin_region();
    }
    if (was_suspended)
        registers[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

/* False if the call is over before it comes there. */
static bool call_and_be_suspended(unsigned place)
{
    steps = 0;
    suspended_at = place;
    was_suspended = false;
    long result = step_call(SYS_access, (long)later.memory, F_OK, 0, 0);
    if (!was_suspended)
        return false;
    if (result != 0)
        fail_msg("suspended before instruction %u, the call returned %ld", place, result);
    end_region();
    return true;
}

/* At each of the last, where the assembly is; before them, in C, at some. */
static void suspended_at_each_instruction_of_a_detour(void **state)
{
    const struct sigaction stepping = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    (void)state;
    setup();
    strcpy(later.memory, "/");
    make_detour(detoured_site);
    assert_int_equal(sigaction(SIGTRAP, &stepping, &before), 0);
    assert_false(call_and_be_suspended(UINT_MAX));
    const unsigned all = steps;
    assert_true(all > LAST);
    for (unsigned place = 1; call_and_be_suspended(place); place += place + LAST < all ? 5 : 1)
        ;
    /* Two instructions behind the comparison, the four to the gate, and the gate's call. */
    assert_int_equal(sent_back, 2 + 4 + 1);
    sigaction(SIGTRAP, &before, NULL);
    teardown();
}

/* ---- by suspensions ---- */

static volatile bool is_over;
static volatile unsigned long calls;

static void *call_always(void *path)
{
    long failed = 0;
    while (!is_over) {
        failed |= busy_site(SYS_access, (long)path, F_OK, 0, 0);
        calls++;
    }
    return (void *)failed;
}

static void memory_is_watched_beside_a_detour(void **state)
{
    pthread_t thread;
    void *failed;
    uint64_t id;
    char *path = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    setup();
    assert_ptr_not_equal(path, MAP_FAILED);
    strcpy(path, "/");
    make_detour(busy_site);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    is_over = false;
    assert_int_equal(pthread_create(&thread, NULL, call_always, path), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Beside the path. */
        const struct segue_watch watch = {.address = path + 64, .size = 8, .flags = SEGUE_WATCH_WRITE};
        const unsigned long called = calls;
        while (calls == called)
            sched_yield();
        assert_int_equal(segue_watch_add(&watch, 1, &id), SEGUE_OK);
        assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    }
    is_over = true;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    munmap(path, PAGE);
    teardown();
}

/* ---- in a policy ---- */

static struct {
    enum segue_verdict verdict;
    unsigned asked;
} first;
static volatile bool is_asked;

/* A policy must not do it. */
static void *begin_when_asked(void *unused)
{
    while (!is_asked)
        sched_yield();
    begin_region();
    is_asked = false;
    return unused;
}

/* At its first question the thread is suspended, and memory becomes a region. */
static enum segue_verdict be_suspended(void *asking, const struct segue_event *event)
{
    (void)event;
    if (first.asked++)
        return SEGUE_STEP;
    thread_self.suspensions++;
    is_asked = true;
    while (is_asked)
        ;
    if (first.verdict != SEGUE_STEP)
        mprotect(asking, PAGE, PROT_READ | PROT_WRITE);
    return first.verdict;
}

static void read_into_both(call_site *site, enum segue_verdict verdict)
{
    struct segue_mapping asking;
    pthread_t thread;
    int ends[2];
    first.verdict = verdict;
    first.asked = 0;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &asking), SEGUE_OK);
    const struct segue_region region = {.window = segue_window_alias(asking.memory, PAGE, asking.alias),
                                        .policy = be_suspended,
                                        .context = asking.memory};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(asking.memory, PAGE, PROT_NONE), 0);
    const struct iovec vector[] = {{asking.memory, 4}, {later.memory, 4}};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "onetwo!", 8), 8);
    assert_int_equal(pthread_create(&thread, NULL, begin_when_asked, NULL), 0);
    assert_int_equal(site(SYS_readv, ends[0], (long)vector, 2, 0), 8);
    pthread_join(thread, NULL);
    assert_true(first.asked > 1);
    assert_memory_equal(asking.alias, "onet", 4);
    assert_memory_equal(later.alias, "wo!", 4);
    close(ends[0]);
    close(ends[1]);
    end_region();
    assert_int_equal(mprotect(asking.memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(asking.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&asking), SEGUE_OK);
}

static void policies_are_asked_again_after_a_suspension(void **state)
{
    (void)state;
    setup();
    read_into_both(plain_site, SEGUE_STEP);
    read_into_both(plain_site, SEGUE_RETRY);
    read_into_both(plain_site, SEGUE_PASS);
    teardown();
}

/* All gates are other sites'. Last: they remain so. */
static void without_a_gate_they_are_too(void **state)
{
    (void)state;
    setup();
    for (unsigned i = 0; i < CALL_GATES; i++)
        if (!calls_targets[i])
            calls_targets[i] = 1;
    const struct system_call call = {.instruction = (uint64_t)(uintptr_t)late_site};
    assert_int_equal(calls_gate(&call), CALL_GATES);
    read_into_both(late_site, SEGUE_STEP);
    read_into_both(late_site, SEGUE_RETRY);
    read_into_both(late_site, SEGUE_PASS);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspended_at_each_instruction_of_a_detour),
        cmocka_unit_test(memory_is_watched_beside_a_detour),
        cmocka_unit_test(policies_are_asked_again_after_a_suspension),
        cmocka_unit_test(without_a_gate_they_are_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
