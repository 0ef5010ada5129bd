/* update.c: a collector that moves objects: whatever register, vector lane or word of the red zone holds the only
 * reference to an object, the thread continues with the reference to where the object is now. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define TOUCHED ((char *)0x20000000)

/* Where an object is, and where it is moved to. */
#define OLD UINT64_C(0x00005afe0ddba110)
#define NEW UINT64_C(0x00007e570fca11e8)

#define GENERAL 16
#define RSP 7
#define LANES 32
#define RED_ZONE_NEAR (GENERAL + LANES)
#define RED_ZONE_FAR (RED_ZONE_NEAR + 1)
#define PLACES (RED_ZONE_FAR + 1)

/* The registers are loaded from the one and stored to the other: RAX to R15 in the order of struct segue_regs, XMM0 to
 * 15, and the first and the last word of the red zone. Its other words are zero: earlier frames may have left
 * references there. */
__attribute__((used)) uint64_t update_in[PLACES], update_out[PLACES];
__attribute__((used)) volatile uint64_t update_ready, update_go;

/* With these registers: waits, or reads a protected page. */
void update_wait(void);
void update_touch(void);
__asm__(".text\n"
        ".macro update_load\n"
        "  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "  .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n"
        "  movq $0, -8*\\n(%rsp)\n"
        "  .endr\n"
        "  mov update_in+8*48(%rip), %rax\n"
        "  mov %rax, -8(%rsp)\n"
        "  mov update_in+8*49(%rip), %rax\n"
        "  mov %rax, -128(%rsp)\n"
        "  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  movups update_in+8*16+16*\\n(%rip), %xmm\\n\n"
        "  .endr\n"
        "  .irp n, 8,9,10,11,12,13,14,15\n"
        "  mov update_in+8*\\n(%rip), %r\\n\n"
        "  .endr\n"
        "  mov update_in(%rip), %rax\n"
        "  mov update_in+8*1(%rip), %rbx\n"
        "  mov update_in+8*2(%rip), %rcx\n"
        "  mov update_in+8*3(%rip), %rdx\n"
        "  mov update_in+8*4(%rip), %rsi\n"
        "  mov update_in+8*5(%rip), %rdi\n"
        "  mov update_in+8*6(%rip), %rbp\n"
        ".endm\n"
        ".macro update_store\n"
        "  mov %rax, update_out(%rip)\n"
        "  mov %rbx, update_out+8*1(%rip)\n"
        "  mov %rcx, update_out+8*2(%rip)\n"
        "  mov %rdx, update_out+8*3(%rip)\n"
        "  mov %rsi, update_out+8*4(%rip)\n"
        "  mov %rdi, update_out+8*5(%rip)\n"
        "  mov %rbp, update_out+8*6(%rip)\n"
        "  .irp n, 8,9,10,11,12,13,14,15\n"
        "  mov %r\\n, update_out+8*\\n(%rip)\n"
        "  .endr\n"
        "  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  movups %xmm\\n, update_out+8*16+16*\\n(%rip)\n"
        "  .endr\n"
        "  mov -8(%rsp), %rax\n"
        "  mov %rax, update_out+8*48(%rip)\n"
        "  mov -128(%rsp), %rax\n"
        "  mov %rax, update_out+8*49(%rip)\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "  ret\n"
        ".endm\n"
        ".globl update_wait, update_touch\n"
        "update_wait:\n"
        "  update_load\n"
        "  movq $1, update_ready(%rip)\n"
        "1: pause\n"
        "  cmpq $0, update_go(%rip)\n"
        "  je 1b\n"
        "  update_store\n"
        "update_touch:\n"
        "  update_load\n"
        "  cmpb $0, 0x20000000\n"
        "  update_store\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

/* Each place holds a reference to an object of its own. */
static uint64_t old_of(unsigned place)
{
    return OLD + 0x1000000000 + place * UINT64_C(0x100000);
}

static void fill(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        update_in[i] = old_of(i);
    memset(update_out, 0, sizeof update_out);
    update_ready = update_go = 0;
}

static int move_words(void *closure, uint64_t *base, uint64_t *limit)
{
    unsigned *moved = closure;
    for (; base < limit; base++)
        for (unsigned i = 0; i < PLACES; i++)
            if (*base == old_of(i)) {
                *base += NEW - OLD;
                ++*moved;
            }
    return 0;
}

static void everything_has_moved(unsigned moved)
{
    assert_int_equal(moved, PLACES - 1);
    for (unsigned i = 0; i < PLACES; i++)
        if (i != RSP && update_out[i] != old_of(i) + (NEW - OLD))
            fail_msg("place %u: %#llx", i, (unsigned long long)update_out[i]);
}

/* ---- a suspended thread ---- */

static segue_thread_id waiting;

static void *wait_with_registers(void *unused)
{
    waiting = segue_thread_self();
    update_wait();
    return unused;
}

static void suspended_thread_continues_with_moved_references(void **state)
{
    pthread_t thread;
    unsigned moved = 0;
    (void)state;
    fill();
    pthread_create(&thread, NULL, wait_with_registers, NULL);
    while (!update_ready)
        sched_yield();
    struct segue_suspension suspension = {.thread = waiting};
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_OK);
    assert_int_equal(segue_mutator_update(&suspension.context, move_words, &moved), 0);
    assert_int_equal(suspension.context.regs.rax, old_of(0) + (NEW - OLD));
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    update_go = 1;
    pthread_join(thread, NULL);
    everything_has_moved(moved);
}

/* Ends with what it returns, and has stored what it changed by then. */
static int move_some(void *closure, uint64_t *base, uint64_t *limit)
{
    (void)limit;
    (void)closure;
    base[1] = 5;
    return 17;
}

static void update_ends_with_the_result_of_its_callback(void **state)
{
    pthread_t thread;
    (void)state;
    fill();
    pthread_create(&thread, NULL, wait_with_registers, NULL);
    while (!update_ready)
        sched_yield();
    struct segue_suspension suspension = {.thread = waiting};
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_OK);
    assert_int_equal(segue_mutator_update(&suspension.context, move_some, NULL), 17);
    suspension.context.regs.rcx = 6;
    assert_int_equal(segue_mutator_write(&suspension.context), SEGUE_OK);
    segue_thread_resume(&suspension);
    update_go = 1;
    pthread_join(thread, NULL);
    assert_int_equal(update_out[0], old_of(0));
    assert_int_equal(update_out[1], 5);
    assert_int_equal(update_out[2], 6);
}

/* ---- a policy ---- */

static unsigned moved_in_policy;
static volatile bool policy_is_waiting, policy_may_end;

static enum segue_verdict move_in_policy(void *context, const struct segue_event *event)
{
    struct segue_mutator mutator;
    (void)context;
    if (segue_mutator_from_event(event, &mutator) != SEGUE_OK)
        return SEGUE_PASS;
    if (segue_mutator_update(&mutator, move_words, &moved_in_policy) != 0)
        return SEGUE_PASS;
    mprotect(TOUCHED, PAGE, PROT_READ);
    return SEGUE_DONE;
}

static enum segue_verdict wait_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    policy_is_waiting = true;
    while (!policy_may_end)
        sched_yield();
    return SEGUE_STEP;
}

static void add_region(segue_policy *policy)
{
    const struct segue_region region = {
        .window = segue_window_forced(TOUCHED, PAGE),
        .policy = policy,
    };
    /* cmocka has a handler of its own in each test. */
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(TOUCHED, PAGE, PROT_NONE), 0);
}

static void remove_region(void)
{
    mprotect(TOUCHED, PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(TOUCHED), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void faulting_thread_continues_with_moved_references(void **state)
{
    (void)state;
    fill();
    moved_in_policy = 0;
    add_region(move_in_policy);
    update_touch();
    remove_region();
    everything_has_moved(moved_in_policy);
}

static void *touch_with_registers(void *unused)
{
    waiting = segue_thread_self();
    update_touch();
    return unused;
}

/* The library has further copies of its registers: what is found there stays where it is. */
static void thread_in_the_handler_is_not_updated(void **state)
{
    pthread_t thread;
    unsigned moved = 0;
    (void)state;
    fill();
    policy_is_waiting = policy_may_end = false;
    add_region(wait_in_policy);
    pthread_create(&thread, NULL, touch_with_registers, NULL);
    while (!policy_is_waiting)
        sched_yield();
    struct segue_suspension suspension = {.thread = waiting};
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_OK);
    assert_true(suspension.context.in_fault);
    assert_int_equal(segue_mutator_update(&suspension.context, move_words, &moved), -1);
    assert_int_equal(segue_mutator_write(&suspension.context), SEGUE_UNSUPPORTED);
    assert_string_not_equal(segue_reason(), "");
    assert_int_equal(moved, 0);
    segue_thread_resume(&suspension);
    policy_may_end = true;
    pthread_join(thread, NULL);
    remove_region();
    for (unsigned i = 0; i < PLACES; i++)
        if (i != RSP)
            assert_int_equal(update_out[i], old_of(i));
}

/* ---- a handler of the program's ---- */

static unsigned moved_in_handler;

static void move_in_handler(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_mutator mutator;
    (void)number;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_OK)
        return;
    mprotect(TOUCHED, PAGE, PROT_READ);
    if (segue_mutator_from_frame(&mutator, &frame) != SEGUE_OK)
        return;
    segue_mutator_update(&mutator, move_words, &moved_in_handler);
    if (frame.regs.rax != old_of(0) + (NEW - OLD))
        moved_in_handler = 0;
    segue_frame_restore(&frame, SEGUE_RESTORE_RETURN);
}

static void own_handlers_thread_continues_with_moved_references(void **state)
{
    struct sigaction action = {.sa_sigaction = move_in_handler, .sa_flags = SA_SIGINFO | SA_NODEFER}, before;
    (void)state;
    fill();
    moved_in_handler = 0;
    sigaction(SIGSEGV, &action, &before);
    mprotect(TOUCHED, PAGE, PROT_NONE);
    update_touch();
    sigaction(SIGSEGV, &before, NULL);
    everything_has_moved(moved_in_handler);
}

static void captured_context_is_not_updated(void **state)
{
    struct segue_mutator mutator;
    unsigned moved = 0;
    (void)state;
    assert_int_equal(segue_mutator_capture(&mutator, NULL, 0), SEGUE_OK);
    assert_int_equal(segue_mutator_update(&mutator, move_words, &moved), -1);
    assert_int_equal(segue_mutator_write(&mutator), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_mutator_write(NULL), SEGUE_INVALID);
}

static int setup(void **state)
{
    (void)state;
    if (mmap(TOUCHED, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)TOUCHED)
        return -1;
    return segue_suspend_install(NULL) == SEGUE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspended_thread_continues_with_moved_references),
        cmocka_unit_test(update_ends_with_the_result_of_its_callback),
        cmocka_unit_test(faulting_thread_continues_with_moved_references),
        cmocka_unit_test(thread_in_the_handler_is_not_updated),
        cmocka_unit_test(own_handlers_thread_continues_with_moved_references),
        cmocka_unit_test(captured_context_is_not_updated),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
