/* mutator.c: the only reference to an object stands in one given place, and is found: in each register, each lane of
 * each vector register, each mask register, each word of the red zone; of a thread that faults, one that is suspended,
 * one that is suspended inside the library's handler, and the calling one. mutator_fault.c has every instruction of a
 * fault. */
#include "mutator_fixture.h"

#include <assert.h>
#include <pthread.h>
#include <segue/posix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* ---- the thread that faults ----------------------------------------------------------------------------------- */

static struct segue_mutator seen;
static unsigned found_at_fault;

static enum segue_verdict scan_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    if (segue_mutator_from_event(event, &seen) == SEGUE_OK)
        found_at_fault = count_in(&seen);
    return SEGUE_STEP;
}

static enum segue_verdict wait_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    *ready = 1;
    while (!*go)
        ;
    return SEGUE_STEP;
}

static void for_every_place(void (*check)(const struct place *place))
{
    static const struct place none = {.name = "nowhere", .kind = NOWHERE};
    check(&none);
    for (size_t i = 0; i < place_count; i++)
        check(&places[i]);
}

static void check_in_policy(const struct place *place)
{
    make_image(place);
    found_at_fault = 99;
    lone_fault(&image, area, components);
    expect_found(place, found_at_fault, "in a policy");
    assert_int_equal(seen.regs.rip, (uintptr_t)lone_fault_instruction);
    assert_int_equal(segue_mutator_sp(&seen), seen.regs.rsp);
    assert_true(seen.in_fault);
    assert_int_equal(seen.kind, SEGUE_MUTATOR_FAULT);
}

static void reference_is_found_in_the_thread_that_faults(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    close_page(scan_in_policy);
    for_every_place(check_in_policy);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static volatile uint64_t address_told;
static volatile uint8_t direction_told;

#define RESUME_FLAG 0x10000u
/* Whether the processor sets it in a fault's frame, as the manuals say; qemu does not, and only by it is a frame a
 * fault's for sure. */
static bool sets_resume_flag;

static uint64_t seen_flags(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL];
}

/* As an embedder with a handler of its own would do it all: MPS's ArenaAccess. */
static void own_handler(int number, siginfo_t *info, void *ucontext)
{
    struct segue_plan plan;
    struct segue_frame frame;
    struct segue_window window = {
        .base = (uint64_t)(uintptr_t)closed.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = closed.alias};
    (void)number;
    sets_resume_flag = seen_flags(ucontext) & RESUME_FLAG;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_OK || segue_mutator_from_frame(&seen, &frame) != SEGUE_OK ||
        !frame.fault.address_known)
        _exit(3);
    address_told = frame.fault.address;
    direction_told = frame.fault.direction;
    found_at_fault = count_in(&seen);
    if (segue_frame_plan(&frame, &window, 1, &plan) != SEGUE_OK || segue_frame_step(&frame, &plan) != SEGUE_OK)
        _exit(4);
}

static void check_in_own_handler(const struct place *place)
{
    make_image(place);
    found_at_fault = 99;
    lone_fault(&image, area, components);
    expect_found(place, found_at_fault, "in a handler");
    assert_int_equal(address_told, LONE_CLOSED);
    assert_int_equal(direction_told, SEGUE_READ);
    assert_false(seen.in_fault);
    if (sets_resume_flag)
        assert_int_equal(seen.kind, SEGUE_MUTATOR_FAULT);
}

static void embedder_with_its_own_handler_steps_and_scans(void **state)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO}, kept;
    (void)state;
    segue_replay_prepare();
    sigaction(SIGSEGV, &action, &kept);
    mprotect(closed.memory, PAGE, PROT_NONE);
    for_every_place(check_in_own_handler);
    if (!sets_resume_flag)
        print_message("SKIP: this processor is emulated, and does not set the resume flag: the kind of a context\n");
    *(volatile char *)closed.memory = 42;
    assert_int_equal(direction_told, SEGUE_WRITE);
    assert_int_equal(*(char *)closed.alias, 42);
    mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &kept, NULL);
    *(char *)closed.alias = 0;
}

static void faults_that_are_none_have_no_address(void **state)
{
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_USER};
    ucontext_t ucontext = {0};
    struct segue_frame frame;
    (void)state;
    assert_int_equal(segue_frame_open(&frame, &info, &ucontext), SEGUE_NOT_FOUND);
    assert_false(frame.fault.address_known);
    assert_int_equal(frame.fault.trap, 0);
    assert_int_equal(frame.fault.signal, SIGSEGV);
    assert_int_equal(frame.fault.code, SI_USER);
    assert_int_equal(segue_frame_open(&frame, NULL, &ucontext), SEGUE_NOT_FOUND);
    assert_int_equal(frame.fault.signal, 0);
    assert_int_equal(segue_frame_open(&frame, &info, NULL), SEGUE_INVALID);
    assert_int_equal(segue_frame_open(NULL, &info, &ucontext), SEGUE_INVALID);
    assert_int_equal(segue_mutator_from_frame(&seen, NULL), SEGUE_INVALID);
    assert_int_equal(segue_mutator_from_event(NULL, &seen), SEGUE_INVALID);
    assert_false(segue_in_fault());
}

/* ---- a suspended thread --------------------------------------------------------------------------------------- */

struct waiter {
    void (*run)(const struct image *, const void *, uint64_t);
    int number;
};

static void *run_waiter(void *argument)
{
    struct waiter *waiter = argument;
    __atomic_store_n(&waiter->number, gettid(), __ATOMIC_RELEASE);
    waiter->run(&image, area, components);
    return NULL;
}

static void check_suspended_in(const struct place *place, struct waiter *waiter, bool inside)
{
    struct segue_suspension suspension;
    pthread_t thread;
    make_image(place);
    *ready = *go = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_waiter, waiter), 0);
    while (!*ready)
        sched_yield();
    suspension.thread = (segue_thread_id)__atomic_load_n(&waiter->number, __ATOMIC_ACQUIRE);
    assert_int_equal(segue_thread_suspend(&suspension, 10 * SECOND), SEGUE_OK);
    unsigned found = count_in(&suspension.context);
    struct segue_regs regs = suspension.context.regs;
    assert_int_equal(suspension.context.in_fault, inside);
    assert_int_equal(suspension.context.kind, SEGUE_MUTATOR_THREAD);
    assert_int_equal(segue_mutator_check(&suspension.context), SEGUE_OK);
    *go = 1;
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    pthread_join(thread, NULL);
    expect_found(place, found, inside ? "suspended in a fault" : "suspended");
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            assert_int_equal(segue_register_get(&regs, i), image.general[i]);
    if (inside)
        assert_int_equal(regs.rip, (uintptr_t)lone_fault_instruction);
}

static void check_suspended(const struct place *place)
{
    struct waiter waiter = {.run = lone_wait};
    check_suspended_in(place, &waiter, false);
}

static void reference_is_found_in_a_suspended_thread(void **state)
{
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    for_every_place(check_suspended);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void reference_is_found_in_a_thread_suspended_on_its_alternate_stack(void **state)
{
    struct segue_suspend_options options = {.flags = SEGUE_SUSPEND_ALTERNATE_STACK, .signal = SIGRTMIN + 3};
    (void)state;
    assert_int_equal(segue_suspend_install(&options), SEGUE_OK);
    for_every_place(check_suspended);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void check_suspended_in_fault(const struct place *place)
{
    struct waiter waiter = {.run = lone_fault};
    check_suspended_in(place, &waiter, true);
}

static void suspend_in_faults(uint32_t install_flags, uint32_t suspend_flags)
{
    struct segue_options options = {.flags = install_flags};
    struct segue_suspend_options suspending = {.flags = suspend_flags};
    struct segue_counters before, after;
    assert_int_equal(segue_suspend_install(&suspending), SEGUE_OK);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    segue_counters_read(&before);
    close_page(wait_in_policy);
    for_every_place(check_suspended_in_fault);
    open_page();
    segue_counters_read(&after);
    assert_int_equal(after.stepped - before.stepped, place_count + 1);
    assert_int_equal(after.faults - before.faults, place_count + 1);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void reference_is_found_in_a_thread_suspended_in_a_fault(void **state)
{
    (void)state;
    suspend_in_faults(0, 0);
    suspend_in_faults(SEGUE_INSTALL_OWN_STACK, SEGUE_SUSPEND_ALTERNATE_STACK);
    suspend_in_faults(SEGUE_INSTALL_BLOCK_SIGNALS, 0);
}

/* ---- the calling thread --------------------------------------------------------------------------------------- */

static void check_captured(const struct place *place)
{
    struct segue_mutator context;
    static _Alignas(64) unsigned char captured[AREA_MOST];
    bool is_argument =
        place->kind == GENERAL && (place->at == SEGUE_RDI || place->at == SEGUE_RSI || place->at == SEGUE_RDX);
    /* A caller has no red zone, and its arguments are not the image's. */
    if (place->kind == RED_ZONE || is_argument)
        return;
    make_image(place);
    memset(&context, 0xee, sizeof context);
    memset(captured, 0xee, sizeof captured);
    lone_context = &context;
    lone_area = captured;
    lone_area_size = segue_xstate_size(0);
    lone_capture(&image, area, components);
    expect_found(place, count_in(&context), "captured");
    assert_false(context.in_fault);
    assert_in_range(context.regs.rip, (uintptr_t)lone_capture, (uintptr_t)lone_capture + 256);
    /* Without the area: the general registers alone. */
    lone_area = NULL;
    lone_capture(&image, area, components);
    assert_int_equal(count_in(&context) != 0, place->kind == GENERAL);
}

static void reference_is_found_by_a_capture(void **state)
{
    (void)state;
    assert_true(segue_xstate_size(0) > 0 && segue_xstate_size(0) <= AREA_MOST);
    for_every_place(check_captured);
}

static void size_of_an_area_is_that_of_its_components(void **state)
{
    (void)state;
    /* x87 and SSE: the legacy part and the header; a component that no processor has adds nothing. */
    assert_int_equal(segue_xstate_size(3), 576);
    assert_int_equal(segue_xstate_size(3 | (uint64_t)1 << 62), 576);
    assert_true(segue_xstate_size(0) >= segue_xstate_size(3));
    assert_int_equal(segue_xstate_size(UINT64_MAX), segue_xstate_size(0));
    assert_int_equal(segue_xstate_size(0) % 64, 0);
}

static void captures_without_room_are_refused(void **state)
{
    static _Alignas(64) unsigned char captured[AREA_MOST];
    struct segue_mutator context;
    size_t size = segue_xstate_size(0);
    (void)state;
    assert_int_equal(segue_mutator_capture(NULL, NULL, 0), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured + 8, size), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured, size - 1), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured, size), SEGUE_OK);
    assert_int_equal(context.xstate.size, size);
    assert_int_equal(context.kind, SEGUE_MUTATOR_CALLER);
    assert_int_equal(segue_mutator_check(&context), SEGUE_OK);
    assert_int_equal(segue_mutator_check(NULL), SEGUE_INVALID);
    context.in_fault = true;
    assert_int_equal(segue_mutator_check(&context), SEGUE_INVALID);
    context.in_fault = false;
    context.kind = 0;
    assert_int_equal(segue_mutator_check(&context), SEGUE_INVALID);
    assert_in_range(context.regs.rsp, (uintptr_t)&context - PAGE, (uintptr_t)&context + PAGE);
}

static uint64_t hidden[6];
static struct segue_mutator held;

/* Six words are live across the call, in as many registers as a call keeps. */
__attribute__((noinline)) static uint64_t hold_six(void)
{
    uint64_t a = *(volatile uint64_t *)&hidden[0] ^ disguise, b = *(volatile uint64_t *)&hidden[1] ^ disguise;
    uint64_t c = *(volatile uint64_t *)&hidden[2] ^ disguise, d = *(volatile uint64_t *)&hidden[3] ^ disguise;
    uint64_t e = *(volatile uint64_t *)&hidden[4] ^ disguise, f = *(volatile uint64_t *)&hidden[5] ^ disguise;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    segue_mutator_capture(&held, NULL, 0);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    return a ^ b ^ c ^ d ^ e ^ f;
}

static bool is_in_registers(uint64_t word)
{
    for (unsigned i = 0; i < 16; i++)
        if (segue_register_get(&held.regs, i) == word)
            return true;
    return false;
}

static void six_references_in_what_a_call_keeps_are_captured(void **state)
{
    bool rbp_is_one = false;
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        hidden[i] = (0x00007e57ab000000u + i * PAGE) ^ disguise;
    uint64_t mixed = hold_six();
    for (unsigned i = 0; i < 6; i++) {
        uint64_t word = hidden[i] ^ disguise;
        mixed ^= word;
        rbp_is_one |= held.regs.rbp == word;
    }
    assert_int_equal(mixed, 0);
    /* A compiler that keeps a frame pointer has put one of them on the stack. */
    if (!rbp_is_one) {
        print_message("SKIP: this build has something else in RBP\n");
        return;
    }
    for (unsigned i = 0; i < 6; i++)
        assert_true(is_in_registers(hidden[i] ^ disguise));
}

/* What the capture is there for: setjmp keeps five of the six as they are. */
static void setjmp_loses_the_reference_in_rbp(void **state)
{
    static const unsigned kept[] = {SEGUE_RBX, SEGUE_RBP, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15};
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        unsigned found = 0;
        make_image(&(struct place){.kind = GENERAL, .at = kept[i]});
        memset(lone_jump_buffer, 0, sizeof lone_jump_buffer);
        lone_setjmp(&image, area, components);
        for (unsigned word = 0; word < LONE_JUMP_BUFFER / 8; word++)
            found += lone_jump_buffer[word] == reference();
        assert_int_equal(found != 0, kept[i] != SEGUE_RBP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_found_in_the_thread_that_faults),
        cmocka_unit_test(embedder_with_its_own_handler_steps_and_scans),
        cmocka_unit_test(faults_that_are_none_have_no_address),
        cmocka_unit_test(reference_is_found_in_a_suspended_thread),
        cmocka_unit_test(reference_is_found_in_a_thread_suspended_on_its_alternate_stack),
        cmocka_unit_test(reference_is_found_in_a_thread_suspended_in_a_fault),
        cmocka_unit_test(reference_is_found_by_a_capture),
        cmocka_unit_test(size_of_an_area_is_that_of_its_components),
        cmocka_unit_test(captures_without_room_are_refused),
        cmocka_unit_test(six_references_in_what_a_call_keeps_are_captured),
        cmocka_unit_test(setjmp_loses_the_reference_in_rbp),
    };
    return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
