/* ctx_guest_signals.c: signals while a guest runs: it is stopped from anywhere, and handlers find the host's segment
 * bases at every instruction. */
#include "guest_fixture.h"

#include <pthread.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "platform/frame/frame.h"
#include "signals/ranges.h"
#include "tests/support/processor/selectors.h"
#include "tests/support/times.h"

/* ---- stopping ---- */

static volatile bool stopping;

static void *stop_often(void *unused)
{
    uint64_t seed = 12345;
    (void)unused;
    while (stopping) {
        segue_guest_stop(&guest, SIGURG);
        seed = seed * 6364136223846793005u + 1;
        for (volatile uint64_t i = 0; i < seed >> 50; i++)
            ;
    }
    return NULL;
}

/* A timer's handler asks, on the thread itself: at once, or by a signal that comes when the handler returns. */
static void stop_from_timer(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info, (void)ucontext;
    segue_guest_stop(&guest, SIGURG);
}

/* How long a test waits for other threads' signals: on some virtual machines they take a tick of the clock each, and on
 * a busy one the other thread has its turn only now and then. A few must come, however long they take. */
#define STOPS_LEAST 20
static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void count_until_stopped(unsigned stops, uint64_t milliseconds)
{
    uint64_t before = 0, end = now() + milliseconds;
    unsigned moved = 0;
    guest.general.rcx = guest.general.r8 = 0;
    guest.general.fs_base = 0;
    guest.general.rip = at(guest_count);
    while (moved < STOPS_LEAST || (moved < stops && now() < end)) {
        assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_STOPPED);
        assert_in_range(guest.general.rcx, before, UINT64_MAX);
        assert_in_range(guest.general.rcx - guest.general.r8, 0, 1);
        moved += guest.general.rcx != before;
        before = guest.general.rcx;
    }
}

static void guest_is_stopped_by_another_thread_and_goes_on(void **state)
{
    (void)state;
    pthread_t thread;
    begin_with(FEATURES);
    stopping = true;
    assert_int_equal(pthread_create(&thread, NULL, stop_often, NULL), 0);
    count_until_stopped(200 * test_times(), 300 * test_times());
    stopping = false;
    pthread_join(thread, NULL);
}

static void start_timer(struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = stop_from_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval fast = {{0, 50}, {0, 50}};
    assert_int_equal(segue_guest_sigaction(SIGALRM, &action, before), 0);
    setitimer(ITIMER_REAL, &fast, NULL);
}

static void end_timer(const struct sigaction *before)
{
    struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    segue_guest_sigaction(SIGALRM, before, NULL);
}

static void guest_is_stopped_by_a_handler_and_goes_on(void **state)
{
    (void)state;
    struct sigaction before;
    begin_with(FEATURES);
    start_timer(&before);
    count_until_stopped(1000, 5000);
    end_timer(&before);
}

static void calls_and_stops_mix(void **state)
{
    (void)state;
    struct sigaction before;
    unsigned calls = 0, stops = 0;
    begin();
    start_timer(&before);
    guest.general.rip = at(guest_call);
    while (calls < 50000 || stops < 20) {
        assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        if (guest.trap_num == SEGUE_GUEST_CALLED)
            calls++;
        else if (guest.trap_num == SEGUE_GUEST_STOPPED)
            stops++;
        else
            fail_msg("trap %lu at %#lx", (unsigned long)guest.trap_num, (unsigned long)guest.general.rip);
        assert_in_range(guest.general.rip, at(guest_call), at(guest_called) + 2);
    }
    end_timer(&before);
}

/* ---- handlers ---- */

static __thread unsigned ticks;
static volatile unsigned wrong_ticks;
static _Thread_local uint64_t mark;

static void tick(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info, (void)ucontext;
    /* Thread-local storage, errno, and a function with a stack protector. */
    if (mark != 0x5e60e)
        wrong_ticks++;
    ticks++;
    getppid();
    close(-1);
}

static void handlers_find_the_hosts_bases_at_any_instruction(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART}, previous;
    struct itimerval fast = {{0, 50}, {0, 50}}, off = {{0, 0}, {0, 0}};
    begin();
    mark = 0x5e60e;
    ticks = wrong_ticks = 0;
    assert_int_equal(segue_guest_sigaction(SIGALRM, &action, &previous), 0);
    setitimer(ITIMER_REAL, &fast, NULL);
    for (unsigned i = 0; ticks < 1000; i++)
        every_bit_is_kept(100, FEATURES);
    setitimer(ITIMER_REAL, &off, NULL);
    assert_int_equal(wrong_ticks, 0);
    struct sigaction ours;
    assert_int_equal(segue_guest_sigaction(SIGALRM, &previous, &ours), 0);
    assert_ptr_equal(ours.sa_sigaction, tick);
}

/* Steps the host through its own way in and out: at each instruction a handler that uses thread-local storage. */
static unsigned steps;

static void step(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED || segue_guest_catch(&frame) == SEGUE_OK)
        return;
    tick(number, info, ucontext);
    steps++;
}

static void handlers_find_the_hosts_bases_at_every_instruction_of_the_way_in(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
    begin_with(FEATURES);
    mark = 0x5e60e;
    wrong_ticks = steps = 0;
    assert_int_equal(segue_guest_sigaction(SIGTRAP, &action, NULL), 0);
    guest.general.fs_base = 0;
    guest.general.rip = at(guest_nops);
    __asm__ volatile("pushfq\norl %0, (%%rsp)\npopfq\n" ::"i"(FLAG_TRAP) : "memory", "cc");
    enum segue_status status = segue_guest_enter(&guest);
    __asm__ volatile("pushfq\nandl %0, (%%rsp)\npopfq\n" ::"i"(~FLAG_TRAP) : "memory", "cc");
    assert_int_equal(status, SEGUE_OK);
    /* The guest begins with its own flags, so the stepping ends there, or with a trap of its first instruction. */
    assert_true(guest.trap_num == SEGUE_GUEST_CALLED || guest.trap_num == 1);
    assert_true(steps > 50);
    assert_int_equal(wrong_ticks, 0);
}

/* Steps all of a round trip, the guest's own code included: whatever flags are loaded on the way, the trap flag is put
 * back by each step. At step `stop_at` the guest is asked to stop, and the stepping ends. */
static unsigned stop_at;
static volatile bool stepping;

/* Those that instructions on the way might change: CF, PF, AF, ZF, SF, DF, OF. */
#define FLAGS_SEEN 0xcd5u

/* What the registry says of each step: the guest, as it begins or behind its call, with all its registers. */
static struct segue_regs round_trip;
static unsigned shown_before, shown_behind, shown_wrong;

static void note_place(const ucontext_t *ucontext)
{
    struct segue_regs regs;
    const void *frame = NULL;
    frame_get_registers(ucontext, &regs);
    if (code_range_translate(library_ranges, &regs, &frame) != CODE_RANGE_SHOWN)
        return;
    bool is_same = regs.rip == at(guest_call) || regs.rip == at(guest_called);
    for (unsigned i = 0; i < 16; i++)
        is_same &= segue_register_get(&regs, i) == segue_register_get(&round_trip, i);
    is_same &= ((regs.rflags ^ FLAGS_SET) & FLAGS_SEEN) == 0;
    shown_before += regs.rip == at(guest_call);
    shown_behind += regs.rip == at(guest_called);
    shown_wrong += !is_same;
}

static void step_through(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    frame->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
    if (!stepping)
        return;
    tick(number, info, ucontext);
    note_place(ucontext);
    if (++steps == stop_at)
        segue_guest_stop(&guest, SIGURG);
    else
        frame->uc_mcontext.gregs[REG_EFL] |= FLAG_TRAP;
}

static void enter_stepped(void)
{
    stepping = true;
    __asm__ volatile("pushfq\norl %0, (%%rsp)\npopfq\n" ::"i"(FLAG_TRAP) : "memory", "cc");
    enum segue_status status = segue_guest_enter(&guest);
    stepping = false;
    assert_int_equal(status, SEGUE_OK);
}

static void begin_stepping(void)
{
    struct sigaction action = {.sa_sigaction = step_through, .sa_flags = SA_SIGINFO};
    begin_with(FEATURES);
    mark = 0x5e60e;
    wrong_ticks = 0;
    guest.general.fs_base = 0;
    guest.general.gs_base = 0x8000000000000000u;
    assert_int_equal(segue_guest_sigaction(SIGTRAP, &action, NULL), 0);
}

static void handlers_find_the_hosts_bases_at_every_instruction_of_a_round_trip(void **state)
{
    (void)state;
    begin_stepping();
    for (unsigned i = 0; i < 20; i++) {
        state_fill_xstate(&guest.xstate);
        struct segue_regs wanted = guest.general;
        wanted.rip = guest.general.rip = at(guest_call);
        wanted.rflags = guest.general.rflags = FLAGS_SET;
        steps = stop_at = 0;
        round_trip = wanted;
        shown_before = shown_behind = shown_wrong = 0;
        enter_stepped();
        assert_int_equal(shown_wrong, 0);
        assert_int_equal(shown_before, 20);
        assert_int_equal(shown_behind, 27);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(guest.general.rip, at(guest_called));
        wanted.rip = guest.general.rip;
        wanted.rflags |= FLAG_TRAP;
        /* A guest runs with the host's. */
        selectors_read(wanted.selectors);
        assert_memory_equal(&guest.general, &wanted, sizeof wanted);
        assert_true(steps > 150);
    }
    assert_int_equal(wrong_ticks, 0);
}

/* Whether it comes before the guest's first instruction, in its code or when it has called already. */
static void request_to_stop_at_any_instruction_is_told_once(void **state)
{
    (void)state;
    unsigned last = 0, calls_before = 0, stops_before = 0, every = test_stride(5);
    begin_stepping();
    for (unsigned i = 1; last == 0; i += every) {
        unsigned stops = 0, calls = 0;
        guest.general.rip = at(guest_call);
        guest.general.rflags = FLAGS_SET;
        steps = 0;
        stop_at = i;
        enter_stepped();
        if (steps < i)
            last = i;
        for (unsigned j = 0; j < 3; j++) {
            stops += guest.trap_num == SEGUE_GUEST_STOPPED;
            calls += guest.trap_num == SEGUE_GUEST_CALLED;
            if (j == 0)
                stops ? stops_before++ : calls_before++;
            assert_in_range(guest.general.rip, at(guest_call), at(guest_called) + 2);
            guest.general.rflags = FLAGS_SET;
            assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        }
        assert_int_equal(stops, last ? 0 : 1);
        assert_int_equal(calls, last ? 3 : 2);
    }
    assert_int_equal(wrong_ticks, 0);
    assert_true(last > 150);
    assert_true(stops_before > 50 / every);
    assert_true(calls_before > 50 / every);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(guest_is_stopped_by_another_thread_and_goes_on),
        BOTH(guest_is_stopped_by_a_handler_and_goes_on),
        BOTH(calls_and_stops_mix),
        BOTH(handlers_find_the_hosts_bases_at_any_instruction),
        BOTH(handlers_find_the_hosts_bases_at_every_instruction_of_the_way_in),
        BOTH(handlers_find_the_hosts_bases_at_every_instruction_of_a_round_trip),
        BOTH(request_to_stop_at_any_instruction_is_told_once),
    };
    if (!fixture_prepare())
        return STATE_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
