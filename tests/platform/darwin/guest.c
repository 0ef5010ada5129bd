/* guest.c: guests on macOS: their registers and their base of GS, their faults, what the library's handler does for
 * them, `fs:` that becomes `gs:`, requests to stop, threads. The base of FS is 0 while a guest's base of GS is in
 * force, as macOS has it (loader.h). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "guest.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <segue/guest.h>
#include <segue/patch.h>
#include <segue/posix.h>
#include <segue/segment.h>
#include <segue/suspend.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/random.h"

#define AT(symbol) ((uint64_t)(uintptr_t)(symbol))
#define STACK_SIZE 65536u
#define CARRY 0x0001u
#define FIXED 0x0202u

extern struct segue_regs guest_noted;
extern uint64_t guest_entry, guest_go_on;
extern volatile uint64_t guest_has_begun;
void guest_notes(void);
void guest_dumps(void);
void guest_uses_gs(void);
void guest_uses_fs(void);
void guest_reads(void);
void guest_is_wrong(void);
void guest_divides(void);
void guest_traps(void);
void guest_spins(void);
extern const char guest_load[], guest_division[];
extern const volatile uint8_t guest_fs_load[], guest_fs_store[];

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
static _Alignas(16) char guest_stack[STACK_SIZE];
static uint64_t block[16];

static void make(struct segue_guest *guest, char *stack, uint64_t features)
{
    const struct segue_guest_options options = {.features = features};
    assert_int_equal(segue_guest_new(guest, &options), SEGUE_OK);
    guest_entry = guest->entry;
    guest->general.rsp = AT(stack) + STACK_SIZE - 256;
    guest->general.rflags = FIXED;
    guest->general.gs_base = AT(block);
}

/* Handlers of the embedder's own. */
static void handle_signals(void)
{
    struct sigaction action = {.sa_sigaction = segue_guest_handler, .sa_flags = SA_SIGINFO};
    for (unsigned i = 0; i < sizeof fault_signals / sizeof *fault_signals; i++)
        assert_int_equal(segue_guest_sigaction(fault_signals[i], &action, NULL), 0);
    assert_int_equal(segue_guest_sigaction(SIGUSR1, &action, NULL), 0);
}

static void put_signals_back(void)
{
    for (unsigned i = 0; i < sizeof fault_signals / sizeof *fault_signals; i++)
        signal(fault_signals[i], SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
}

static int have_a_stack(void **state)
{
    const stack_t stack = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE};
    (void)state;
    return sigaltstack(&stack, NULL);
}

static void enter(struct segue_guest *guest, void (*code)(void))
{
    guest->general.rip = AT(code);
    errno = 77;
    assert_int_equal(segue_guest_enter(guest), SEGUE_OK);
    /* The host's base is in force. */
    assert_int_equal(errno, 77);
    assert_ptr_equal(pthread_self(), pthread_self());
}

static void registers_come_in_and_go_out_as_in_trapframe(void **state)
{
    static const unsigned char order[] = {SEGUE_RAX, SEGUE_RBX, SEGUE_RCX, SEGUE_RDX, SEGUE_RSI, SEGUE_RDI,
                                          SEGUE_RBP, SEGUE_RSP, SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11,
                                          SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15};
    struct segue_guest guest;
    (void)state;
    make(&guest, guest_stack, 0);
    for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++)
        if (i != SEGUE_RSP)
            *segue_register_at(&guest.general, i) = i;
    enter(&guest, guest_dumps);
    const uint64_t *pushed = (const uint64_t *)(uintptr_t)guest.general.rsp;
    for (unsigned i = 0; i < 16; i++) {
        if (order[i] == SEGUE_RSP)
            continue;
        assert_int_equal(pushed[i], order[i]);
        assert_int_equal(segue_register_get(&guest.general, order[i]), order[i] + 10u);
    }
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(guest.error_code, 0);
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
}

static void every_register_is_kept_over_many_random_states(void **state)
{
    struct segue_guest guest;
    struct random random = random_for(1, 1);
    (void)state;
    make(&guest, guest_stack, 0xe7);
    for (unsigned round = 0; round < 5000; round++) {
        struct segue_regs wanted = guest.general;
        uint8_t *area = guest.xstate.area;
        uint8_t vectors[256];
        const uint64_t in_use = 7;
        for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++)
            if (i != SEGUE_RSP)
                *segue_register_at(&wanted, i) = random_next(&random);
        wanted.rsp = AT(guest_stack) + STACK_SIZE / 2 - random_below(&random, 1000);
        wanted.rflags = FIXED | (random_next(&random) & 0x8d5);
        wanted.gs_base = random_next(&random) >> 18;
        random_fill(&random, area + 160, 256);
        memcpy(area + 512, &in_use, 8);
        memcpy(vectors, area + 160, 256);
        guest.general = wanted;
        enter(&guest, guest_notes);
        for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++) {
            assert_int_equal(segue_register_get(&guest_noted, i), segue_register_get(&wanted, i));
            assert_int_equal(segue_register_get(&guest.general, i), segue_register_get(&wanted, i));
        }
        assert_int_equal(guest_noted.rflags, wanted.rflags);
        assert_int_equal(guest.general.rflags, wanted.rflags);
        assert_int_equal(guest.general.gs_base, wanted.gs_base);
        assert_memory_equal(area + 160, vectors, 256);
    }
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
}

static void guest_has_its_own_base_of_gs(void **state)
{
    struct segue_guest guest;
    (void)state;
    make(&guest, guest_stack, 0);
    block[2] = 0x1234567890;
    block[3] = 0;
    enter(&guest, guest_uses_gs);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(guest.general.rax, 0x1234567890);
    assert_int_equal(block[3], 0x1234567890);
    assert_int_equal(guest.general.gs_base, AT(block));
    assert_int_equal(guest.general.fs_base, 0);
    guest.general.fs_base = AT(block);
    assert_int_equal(segue_guest_enter(&guest), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
    const struct segue_guest_options by_instruction = {.method = SEGUE_GUEST_INSTRUCTIONS};
    assert_int_equal(segue_guest_new(&guest, &by_instruction), SEGUE_UNSUPPORTED);
}

static void faults_end_the_run_with_their_report(void **state)
{
    struct segue_guest guest;
    uint64_t *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    (void)state;
    handle_signals();
    make(&guest, guest_stack, 7);
    for (unsigned round = 0; round < 3; round++) {
        guest.general.rbx = AT(closed) + 8;
        enter(&guest, guest_reads);
        assert_int_equal(guest.trap_num, 14);
        assert_int_equal(guest.error_code & 7, 4);
        assert_int_equal(guest.fault_address, AT(closed) + 8);
        assert_int_equal(guest.general.rip, AT(guest_load));
        assert_int_equal(guest.general.rbx, AT(closed) + 8);
        assert_int_equal(guest.general.gs_base, AT(block));
        enter(&guest, guest_is_wrong);
        assert_int_equal(guest.trap_num, 6);
        assert_int_equal(guest.general.rip, AT(guest_is_wrong));
        guest.general.rbx = 0;
        enter(&guest, guest_divides);
        assert_int_equal(guest.trap_num, 0);
        assert_int_equal(guest.general.rip, AT(guest_division));
        enter(&guest, guest_traps);
        assert_int_equal(guest.trap_num, 3);
        assert_int_equal(guest.general.rip, AT(guest_traps) + 1);
        guest.general.gs_base = UINT64_C(1) << 62;
        enter(&guest, guest_uses_gs);
        assert_int_equal(guest.trap_num, 13);
        assert_int_equal(guest.general.gs_base, UINT64_C(1) << 62);
        guest.general.gs_base = AT(block);
    }
    put_signals_back();
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
    munmap(closed, PAGE);
}

/* ---- with the library's handler ---- */

static enum segue_verdict note_with_errno(void *context, const struct segue_event *event)
{
    /* With the host's base. */
    errno = 5;
    return note(context, event);
}

static void regions_serve_guests(void **state)
{
    struct segue_guest guest;
    volatile uint64_t *page = begin_filled(note_with_errno);
    (void)state;
    make(&guest, guest_stack, 7);
    guest.general.rbx = AT(page);
    enter(&guest, guest_reads);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(asked, 3);
    assert_int_equal(guest.general.rax, UINT64_C(0x0706050403020100));
    assert_int_equal(((uint8_t *)guest.xstate.area)[160 + 5 * 16], 16);
    assert_int_equal(((uint32_t *)mapping.alias)[8], UINT32_C(0x23222120) + 3);
    assert_int_equal(shown.gs_base, AT(block));
    assert_int_equal(shown.fs_base, 0);
    /* What is in no region ends the run. */
    guest.general.rbx = 24;
    enter(&guest, guest_reads);
    assert_int_equal(guest.trap_num, 14);
    assert_int_equal(guest.fault_address, 24);
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
    end();
}

static void fs_becomes_gs_at_the_fault(void **state)
{
    const struct segue_segment_options options = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    struct segue_guest guest;
    struct segue_counters before, after;
    (void)state;
    begin_filled(note_with_errno);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_SEGMENT), SEGUE_OK);
    make(&guest, guest_stack, 0);
    /* Without it the access is a fault, at the operand's own address. */
    enter(&guest, guest_uses_fs);
    assert_int_equal(guest.trap_num, 14);
    assert_int_equal(guest.fault_address, 16);
    assert_int_equal(segue_segment_enable(&options), SEGUE_OK);
    assert_int_equal(guest_fs_load[0], 0x64);
    assert_int_equal(segue_counters_read(&before), SEGUE_OK);
    block[2] = 0x55aa;
    block[4] = block[5] = 0;
    for (unsigned round = 0; round < 3; round++) {
        guest.general.rsp = AT(guest_stack) + STACK_SIZE - 256;
        enter(&guest, guest_uses_fs);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(guest.general.rax, 0x55aa);
    }
    assert_int_equal(block[4], 0x55aa);
    assert_int_equal(block[5], 0x55aa);
    assert_int_equal(guest_fs_load[0], 0x65);
    assert_int_equal(guest_fs_store[0], 0x65);
    /* Each site has faulted once. */
    assert_int_equal(segue_counters_read(&after), SEGUE_OK);
    assert_int_equal(after.retried - before.retried, 2);
    assert_int_equal(segue_segment_disable(), SEGUE_OK);
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
    end();
}

/* ---- requests to stop; threads ---- */

/* Once the guest has begun. */
static void *stop_it(void *guest)
{
    while (!guest_has_begun)
        usleep(1000);
    return (void *)(uintptr_t)segue_guest_stop(guest, SIGUSR1);
}

/* A guest's stack pointer may be any number. */
static void handler_leaves_a_guests_stack_alone(void **state)
{
    struct segue_guest guest;
    char before[256];
    volatile uint64_t *page = begin_filled(note_with_errno);
    (void)state;
    make(&guest, guest_stack, 7);
    for (unsigned round = 0; round < 3; round++) {
        guest.general.rbx = AT(page);
        guest.general.rsp = AT(guest_stack) + STACK_SIZE / 2;
        memset(guest_stack + STACK_SIZE / 2 - sizeof before - 8, 0x5e, sizeof before);
        memcpy(before, guest_stack + STACK_SIZE / 2 - sizeof before - 8, sizeof before);
        asked = 0;
        enter(&guest, guest_reads);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(asked, 3);
        assert_memory_equal(before, guest_stack + STACK_SIZE / 2 - sizeof before - 8, sizeof before);
    }
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
    end();
}

static void guest_is_stopped_by_another_thread(void **state)
{
    struct segue_guest guest;
    pthread_t thread;
    void *status;
    (void)state;
    handle_signals();
    make(&guest, guest_stack, 7);
    for (unsigned round = 0; round < 5; round++) {
        guest_go_on = guest_has_begun = 0;
        guest.general.rax = 0;
        assert_int_equal(pthread_create(&thread, NULL, stop_it, &guest), 0);
        enter(&guest, guest_spins);
        pthread_join(thread, &status);
        assert_int_equal((uintptr_t)status, SEGUE_OK);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_STOPPED);
        assert_true(guest.general.rip - AT(guest_spins) < 32);
        assert_true(guest.general.rax > 0);
        assert_int_equal(guest.general.gs_base, AT(block));
    }
    put_signals_back();
    assert_int_equal(segue_guest_free(&guest), SEGUE_OK);
}

static void *run_guests(void *argument)
{
    struct segue_guest guest;
    uint64_t own[16] = {0};
    char *stack = malloc(STACK_SIZE), *alternate = malloc(STACK_SIZE);
    const stack_t signal_stack = {.ss_sp = alternate, .ss_size = STACK_SIZE}, none = {.ss_flags = SS_DISABLE};
    uintptr_t failures = 0;
    (void)argument;
    sigaltstack(&signal_stack, NULL);
    make(&guest, stack, 7);
    guest.general.gs_base = AT(own);
    for (uint64_t i = 0; i < 2000; i++) {
        guest.general.rip = AT(guest_uses_gs);
        guest.general.rsp = AT(stack) + STACK_SIZE - 256;
        own[2] = i;
        failures += segue_guest_enter(&guest) != SEGUE_OK || guest.trap_num != SEGUE_GUEST_CALLED || own[3] != i;
        guest.general.rip = AT(guest_is_wrong);
        failures += segue_guest_enter(&guest) != SEGUE_OK || guest.trap_num != 6;
    }
    segue_guest_free(&guest);
    sigaltstack(&none, NULL);
    free(stack);
    free(alternate);
    return (void *)failures;
}

static void threads_run_guests_at_once(void **state)
{
    pthread_t threads[3];
    void *failures;
    (void)state;
    handle_signals();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_guests, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], &failures);
        assert_int_equal((uintptr_t)failures, 0);
    }
    put_signals_back();
}

/* A suspended thread that runs a guest is shown as the guest. */
static struct segue_guest spinning;
static void *run_shown(void *argument)
{
    const stack_t signal_stack = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE}, none = {.ss_flags = SS_DISABLE};
    sigaltstack(&signal_stack, NULL);
    spinning.general.rip = AT(guest_spins);
    uintptr_t status = segue_guest_enter(&spinning);
    sigaltstack(&none, NULL);
    free(signal_stack.ss_sp);
    (void)argument;
    return (void *)status;
}

static void suspended_guest_is_shown(void **state)
{
    pthread_t thread;
    void *status;
    (void)state;
    guest_go_on = 0;
    make(&spinning, guest_stack, 7);
    spinning.general.r13 = 0x5e60e;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_shown, NULL), 0);
    struct segue_suspension suspension = {.thread = pthread_mach_thread_np(thread)};
    do {
        usleep(5000);
        assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_OK);
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    } while (suspension.context.regs.rip - AT(guest_spins) >= 32);
    assert_int_equal(suspension.context.regs.r13, 0x5e60e);
    assert_false(suspension.context.in_fault);
    guest_go_on = 1;
    pthread_join(thread, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
    assert_int_equal(spinning.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    assert_int_equal(segue_guest_free(&spinning), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_come_in_and_go_out_as_in_trapframe),
        cmocka_unit_test(every_register_is_kept_over_many_random_states),
        cmocka_unit_test(guest_has_its_own_base_of_gs),
        cmocka_unit_test(faults_end_the_run_with_their_report),
        cmocka_unit_test(regions_serve_guests),
        cmocka_unit_test(fs_becomes_gs_at_the_fault),
        cmocka_unit_test(handler_leaves_a_guests_stack_alone),
        cmocka_unit_test(guest_is_stopped_by_another_thread),
        cmocka_unit_test(threads_run_guests_at_once),
        cmocka_unit_test(suspended_guest_is_shown),
    };
    return cmocka_run_group_tests(tests, have_a_stack, NULL);
}
