/* ctx_restore.c: every way out of a handler leads to exactly the state that was asked for. A fault's handler fills
 * registers and extended state with random bits and leaves; assembly at the place where it leads notes what is there.
 */
#include <segue/posix.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctx/restore/shortcut.h"
#include "ctx_state.h"
#include "platform/frame/frame.h"

#define ROUNDS 5000
#define PAGE 4096
#define RESUME_FLAG 0x10000u
#define UD2_LENGTH 2
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static struct segue_context here;
static char *alternate;
static struct segue_regs wanted;
static unsigned char wanted_area[AREA_SIZE] __attribute__((aligned(64)));
static uint64_t features;
static uint32_t area_size;
static enum segue_restore_method method;
static bool own_area;
/* The last step is an IRETQ, not a shortcut (ctx/restore/shortcut.h): only that one sets this flag. */
static bool with_resume_flag;
static enum segue_status status;

void state_dumped(void)
{
    segue_context_set(&here);
}

/* ---- the handler ---- */

static void leave_to_random_state(int number, siginfo_t *info, void *ucontext)
{
    struct segue_xstate frame;
    (void)number, (void)info;
    frame_get_xstate(ucontext, &frame);
    features = frame.features;
    area_size = frame.size;
    struct segue_xstate image = {.area = wanted_area, .size = frame.size, .features = frame.features};
    memcpy(wanted_area, frame.area, frame.size);
    state_fill_xstate(&image);
    state_fill_regs(&wanted);
    wanted.rip = (uint64_t)(uintptr_t)state_dump;
    with_resume_flag = state_random() >> 63;
    if (with_resume_flag)
        wanted.rflags |= RESUME_FLAG;
    if (!own_area)
        memcpy(frame.area, wanted_area, 464), memcpy((char *)frame.area + 512, wanted_area + 512, frame.size - 512);
    struct segue_frame left;
    segue_frame_open(&left, NULL, ucontext);
    left.regs = wanted;
    if (own_area)
        left.xstate = image;
    status = segue_frame_restore(&left, method);
}

static void install(int flags, bool block_all, unsigned stack_flags)
{
    struct sigaction action = {.sa_sigaction = leave_to_random_state, .sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    stack_t stack = {.ss_sp = alternate, .ss_size = 65536, .ss_flags = (int)stack_flags};
    if (block_all)
        sigfillset(&action.sa_mask);
    assert_int_equal(sigaltstack(&stack, NULL), 0);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

__attribute__((noinline)) static void fault(void)
{
    __asm__ volatile("movl $0, 8" ::: "memory");
}

static char fault_stack[65536] __attribute__((aligned(64)));

/* Faults in a context of its own, and goes on here when the state has been noted. */
static void fault_once(void)
{
    static struct segue_context child;
    assert_int_equal(segue_context_init(&child, &here, fault_stack, sizeof fault_stack, fault, NULL, 0, NULL),
                     SEGUE_OK);
    assert_int_equal(segue_context_swap(&here, &child), SEGUE_OK);
}

static void compare(void)
{
    for (unsigned i = 0; i < SEGUE_RIP; i++)
        if (*segue_register_at(&state_regs, i) != *segue_register_at(&wanted, i))
            fail_msg("register %u is %#lx, not %#lx", i, (unsigned long)*segue_register_at(&state_regs, i),
                     (unsigned long)*segue_register_at(&wanted, i));
    assert_int_equal(state_regs.rflags & (RANDOM_FLAGS | FLAGS_SET), wanted.rflags & ~(uint64_t)RESUME_FLAG);
    int component = state_difference(wanted_area, state_area, features);
    if (component >= 0)
        fail_msg("component %d of the extended state differs", component);
}

static char target_stack[8192] __attribute__((aligned(64)));

static void run(enum segue_restore_method how, bool with_area, int flags, bool block_all, unsigned rounds)
{
    sigset_t mask;
    method = how;
    own_area = with_area;
    install(flags, block_all, 0);
    for (unsigned i = 0; i < rounds; i++) {
        /* Never aligned to anything. */
        wanted.rsp = (uint64_t)(uintptr_t)target_stack + 4096 + state_random() % 1000;
        status = SEGUE_BUSY;
        fault_once();
        compare();
        /* The direct ones do not return. */
        assert_int_equal(status, how == SEGUE_RESTORE_RETURN ? SEGUE_OK : SEGUE_BUSY);
    }
    sigprocmask(SIG_SETMASK, NULL, &mask);
    assert_true(sigisemptyset(&mask));
    signal(SIGSEGV, SIG_DFL);
}

static void return_restores_every_bit(void **state)
{
    (void)state;
    run(SEGUE_RESTORE_RETURN, false, 0, true, ROUNDS);
}

static void return_restores_every_bit_from_an_own_area(void **state)
{
    (void)state;
    run(SEGUE_RESTORE_RETURN, true, 0, true, ROUNDS);
}

static void direct_restores_every_bit(void **state)
{
    (void)state;
    run(SEGUE_RESTORE_DIRECT, false, SA_NODEFER, false, ROUNDS);
}

static void direct_restores_every_bit_from_an_own_area(void **state)
{
    (void)state;
    run(SEGUE_RESTORE_DIRECT, true, SA_NODEFER, false, ROUNDS);
}

static void direct_with_mask_restores_every_bit_and_the_mask(void **state)
{
    (void)state;
    run(SEGUE_RESTORE_DIRECT_MASK, false, 0, true, ROUNDS);
}

/* ---- where it leads ---- */

static void direct_touches_neither_red_zone_nor_guard_page(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char before[PAGE];
    assert_int_equal(mprotect(pages, PAGE, PROT_NONE), 0);
    memset(pages + PAGE, 0x5a, PAGE);
    memset(before, 0x5a, PAGE);
    method = SEGUE_RESTORE_DIRECT;
    own_area = false;
    install(SA_NODEFER, false, 0);
    for (uint64_t offset = 0; offset < 300; offset++) {
        wanted.rsp = (uint64_t)(uintptr_t)pages + PAGE + offset;
        fault_once();
        compare();
        assert_memory_equal(pages + PAGE, before, PAGE);
    }
    munmap(pages, 2 * PAGE);
    signal(SIGSEGV, SIG_DFL);
}

static void disarmed_alternate_stack_is_armed_again_by_a_return(void **state)
{
    (void)state;
    stack_t present;
    method = SEGUE_RESTORE_DIRECT;
    own_area = false;
    install(SA_NODEFER, false, SS_AUTODISARM);
    for (int i = 0; i < 10; i++) {
        status = SEGUE_BUSY;
        fault_once();
        compare();
        assert_int_equal(status, SEGUE_OK);
        assert_int_equal(sigaltstack(NULL, &present), 0);
        assert_ptr_equal(present.ss_sp, alternate);
        assert_false(present.ss_flags & SS_DISABLE);
    }
    signal(SIGSEGV, SIG_DFL);
}

static uint64_t strange_address, strange_trap;
static int strange_count;

static void go_to_no_address(int number, siginfo_t *info, void *ucontext)
{
    struct frame_exception exception;
    struct segue_frame frame;
    (void)number, (void)info;
    segue_frame_open(&frame, NULL, ucontext);
    if (strange_count++) {
        strange_address = frame.regs.rip;
        frame_get_exception(ucontext, &exception);
        strange_trap = exception.trap;
        segue_frame_set_context(&frame, &here);
        return;
    }
    frame.regs.rip = 0x8000000000000000u;
    status = segue_frame_restore(&frame, SEGUE_RESTORE_DIRECT);
}

static void impossible_address_faults_at_itself_not_in_the_restore(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = go_to_no_address, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    install(0, false, 0);
    sigaction(SIGSEGV, &action, NULL);
    strange_count = 0;
    status = SEGUE_BUSY;
    fault_once();
    assert_int_equal(strange_count, 2);
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(strange_address, 0x8000000000000000u);
    signal(SIGSEGV, SIG_DFL);
}

/* ---- to more places than there are shortcuts to ---- */

#define TARGETS (4 * SHORTCUT_COUNT)
#define TARGET_SIZE 16

static char *targets;
static uint64_t next_target;

static void go_to_target(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number, (void)info;
    segue_frame_open(&frame, NULL, ucontext);
    frame.regs.rip = (uint64_t)(uintptr_t)targets + next_target * TARGET_SIZE;
    frame.regs.rflags &= ~(uint64_t)RESUME_FLAG;
    status = segue_frame_restore(&frame, SEGUE_RESTORE_DIRECT);
}

/* mov $number, %eax; jmp *%rbx. */
static void write_targets(void)
{
    static const unsigned char code[TARGET_SIZE] = {0xb8, 0, 0, 0, 0, 0xff, 0xe3};
    targets = mmap(NULL, TARGETS * TARGET_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint32_t i = 0; i < TARGETS; i++) {
        memcpy(targets + i * TARGET_SIZE, code, sizeof code);
        memcpy(targets + i * TARGET_SIZE + 1, &i, sizeof i);
    }
    assert_int_equal(mprotect(targets, TARGETS * TARGET_SIZE, PROT_READ | PROT_EXEC), 0);
}

static void every_target_is_reached_with_a_shortcut_and_without(void **state)
{
    struct sigaction action = {.sa_sigaction = go_to_target, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    unsigned with = 0;
    (void)state;
    write_targets();
    install(SA_NODEFER, false, 0);
    sigaction(SIGSEGV, &action, NULL);
    for (unsigned round = 0; round < 3; round++)
        for (uint32_t i = 0; i < TARGETS; i++) {
            uint32_t reached;
            next_target = i * 0x9e3779b1u % TARGETS;
            status = SEGUE_BUSY;
            __asm__ volatile("leaq 1f(%%rip), %%rbx\n\tmovl $0, 8\n1:" : "=a"(reached) : : "rbx", "memory", "cc");
            assert_int_equal(reached, next_target);
            assert_int_equal(status, SEGUE_BUSY);
        }
    for (uint32_t i = 0; i < TARGETS; i++)
        with += shortcut_to((uint64_t)(uintptr_t)targets + i * TARGET_SIZE) != NULL;
    assert_true(with > SHORTCUT_COUNT / 2 && with <= SHORTCUT_COUNT);
    signal(SIGSEGV, SIG_DFL);
    munmap(targets, TARGETS * TARGET_SIZE);
}

/* ---- what is refused ---- */

static bool is_refused(void *ucontext, const struct segue_xstate *image)
{
    struct segue_frame frame;
    segue_frame_open(&frame, NULL, ucontext);
    frame.regs = wanted;
    frame.xstate = *image;
    return segue_frame_write(&frame) == SEGUE_INVALID && segue_frame_restore(&frame, method) == SEGUE_INVALID;
}

static void try_bad_areas(int number, siginfo_t *info, void *ucontext)
{
    static unsigned char copy[AREA_SIZE + 64] __attribute__((aligned(64)));
    struct segue_xstate frame;
    struct segue_regs before, after;
    (void)number, (void)info;
    frame_get_xstate(ucontext, &frame);
    frame_get_registers(ucontext, &before);
    memset(&wanted, 0x11, sizeof wanted);
    struct segue_xstate image = {.area = copy + 8, .size = frame.size, .features = frame.features};
    memcpy(copy, frame.area, frame.size);
    unsigned refused = 0;
    refused += is_refused(ucontext, &image);
    image.area = copy;
    image.size = 512;
    refused += is_refused(ucontext, &image);
    image.size = frame.size;
    image.features = frame.features | (uint64_t)1 << 60;
    refused += is_refused(ucontext, &image);
    image.features = frame.features;
    copy[24 + 3] = 0xff;
    refused += is_refused(ucontext, &image);
    memcpy(copy, frame.area, frame.size);
    copy[512 + 8 + 7] = 0x80;
    refused += is_refused(ucontext, &image);
    memcpy(copy, frame.area, frame.size);
    copy[512 + 7] = 0x10;
    refused += is_refused(ucontext, &image);
    refused += segue_frame_restore(NULL, method) == SEGUE_INVALID;
    frame_get_registers(ucontext, &after);
    strange_count = memcmp(&before, &after, SEGUE_FS_BASE * 8) == 0 ? (int)refused : -1;
    struct segue_frame left;
    segue_frame_open(&left, NULL, ucontext);
    segue_frame_set_context(&left, &here);
}

static void unsound_areas_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = try_bad_areas, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    install(0, false, 0);
    sigaction(SIGSEGV, &action, NULL);
    for (int how = SEGUE_RESTORE_RETURN; how <= SEGUE_RESTORE_DIRECT_MASK; how++) {
        method = (enum segue_restore_method)how;
        fault_once();
        assert_int_equal(strange_count, 7);
    }
    signal(SIGSEGV, SIG_DFL);
}

static void choice_follows_the_action(void **state)
{
    (void)state;
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    assert_int_equal(segue_restore_choose(NULL), SEGUE_RESTORE_RETURN);
    assert_string_not_equal(segue_reason(), "");
    if (segue_restore_choose(&action) == SEGUE_RESTORE_RETURN) {
        print_message("SKIP: %s\n", segue_reason());
        skip();
    }
    assert_int_equal(segue_restore_choose(&action), SEGUE_RESTORE_DIRECT);
    action.sa_flags = SA_SIGINFO;
    assert_int_equal(segue_restore_choose(&action), SEGUE_RESTORE_DIRECT_MASK);
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaddset(&action.sa_mask, SIGUSR1);
    assert_int_equal(segue_restore_choose(&action), SEGUE_RESTORE_DIRECT_MASK);
}

/* ---- with other signals about ---- */

static volatile unsigned ticks;

/* Leaves directly, too, also when the one that was interrupted is on its last steps. */
static void skip_instruction(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number, (void)info;
    segue_frame_open(&frame, NULL, ucontext);
    frame.regs.rip += UD2_LENGTH;
    if (ticks % 8)
        frame.regs.rflags &= ~(uint64_t)RESUME_FLAG;
    segue_frame_restore(&frame, SEGUE_RESTORE_DIRECT);
}

static void tick(int number)
{
    (void)number;
    ticks++;
    /* AddressSanitizer takes a lock when a function is called that does not return, and reads the list of mappings. */
#ifndef __SANITIZE_ADDRESS__
    if (ticks % 4 == 0)
        __asm__ volatile("ud2\n\tud2");
#endif
}

static void direct_restore_survives_a_storm_of_signals(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct itimerval fast = {{0, 50}, {0, 50}}, off = {{0, 0}, {0, 0}};
    struct sigaction skips = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGILL, &skips, NULL);
    ticks = 0;
    setitimer(ITIMER_REAL, &fast, NULL);
    /* On some virtual machines a signal takes a tick of the clock. */
    do {
        run(SEGUE_RESTORE_DIRECT, false, SA_NODEFER, false, ROUNDS);
        run(SEGUE_RESTORE_DIRECT_MASK, false, 0, true, ROUNDS);
    } while (ticks <= 20);
    setitimer(ITIMER_REAL, &off, NULL);
    signal(SIGALRM, SIG_DFL);
    signal(SIGILL, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(return_restores_every_bit),
        cmocka_unit_test(return_restores_every_bit_from_an_own_area),
        cmocka_unit_test(direct_restores_every_bit),
        cmocka_unit_test(direct_restores_every_bit_from_an_own_area),
        cmocka_unit_test(direct_with_mask_restores_every_bit_and_the_mask),
        cmocka_unit_test(direct_touches_neither_red_zone_nor_guard_page),
        cmocka_unit_test(disarmed_alternate_stack_is_armed_again_by_a_return),
        cmocka_unit_test(impossible_address_faults_at_itself_not_in_the_restore),
        cmocka_unit_test(every_target_is_reached_with_a_shortcut_and_without),
        cmocka_unit_test(unsound_areas_are_refused_and_nothing_changes),
        cmocka_unit_test(choice_follows_the_action),
        cmocka_unit_test(direct_restore_survives_a_storm_of_signals),
    };
    if (!state_can_be_dumped())
        return STATE_SKIPPED;
    alternate = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
