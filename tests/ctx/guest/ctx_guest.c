/* ctx_guest.c: guests, with both ways of setting the segment bases. The state is looked at from inside the guest too,
 * by assembly that needs no register for it. */
#include <fenv.h>
#include <pthread.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/frame.h"
#include "signals/ranges.h"
#include "tests/ctx/ctx_state.h"
#include "tests/support/tiles.h"

#define PAGE 4096
#define FEATURES COMPARED_FEATURES
#define FLAG_TRAP 0x100u
#define FLAG_DIRECTION 0x400u
#define FLAG_ALIGNMENT 0x40000u

extern uint64_t guest_entry;
extern void *guest_area;
extern uint32_t guest_area_size;
extern unsigned char guest_may_read_bases;
extern const char guest_dump[], guest_dump_called[], dump_registers[], guest_call[], guest_called[], guest_count[],
    guest_dirty[], guest_undefined[], guest_breakpoint[], guest_divide[], guest_load[], guest_store[], guest_jump[],
    guest_load_fs[], guest_load_gs[], guest_clobber[], guest_nops[], guest_set_bases[];

static _Alignas(16) char guest_stack[65536];
static char *closed;
static struct segue_guest guest;
static enum segue_guest_method method;

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

static uint64_t at(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

/* Each test begins with it: cmocka has handlers of its own for the time of a test. */
static void begin_with(uint64_t features)
{
    static char alternate[65536];
    struct sigaction action = {.sa_sigaction = segue_guest_handler, .sa_flags = SA_SIGINFO};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof fault_signals / sizeof *fault_signals; i++)
        assert_int_equal(segue_guest_sigaction(fault_signals[i], &action, NULL), 0);
    assert_int_equal(segue_guest_sigaction(SIGURG, &action, NULL), 0);
    segue_guest_free(&guest);
    struct segue_guest_options options = {.features = features, .method = method};
    enum segue_status made = segue_guest_new(&guest, &options);
    if (made == SEGUE_UNSUPPORTED && method == SEGUE_GUEST_INSTRUCTIONS) {
        print_message("SKIP: the processor or the system has no FSGSBASE instructions\n");
        skip();
    }
    assert_int_equal(made, SEGUE_OK);
    guest_entry = guest.entry;
    guest_area = guest.xstate.area;
    guest_area_size = guest.xstate.size;
    guest_may_read_bases = method == SEGUE_GUEST_INSTRUCTIONS;
    guest.general.rsp = at(guest_stack + sizeof guest_stack - 256);
    guest.general.rflags = FLAGS_SET;
}

static void begin(void)
{
    begin_with(0);
}

static void enter(const char *code)
{
    guest.general.rip = at(code);
    assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
}

static int use_instructions(void **state)
{
    (void)state;
    method = SEGUE_GUEST_INSTRUCTIONS;
    return 0;
}

static int use_system_calls(void **state)
{
    (void)state;
    method = SEGUE_GUEST_SYSTEM_CALLS;
    return 0;
}

/* A guest runs with the host's. */
static void take_selectors(struct segue_regs *regs)
{
    memset(regs->selectors, 0, sizeof regs->selectors);
    __asm__("movw %%es, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_GS]));
}

/* ---- trapframe-rs's test ---- */

static void registers_come_in_and_go_out_as_in_trapframe(void **state)
{
    (void)state;
    begin();
    for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++)
        if (i != SEGUE_RSP)
            *segue_register_at(&guest.general, i) = i;
    enter(dump_registers);
    /* As they were pushed, lowest first. */
    static const unsigned char order[] = {SEGUE_RAX, SEGUE_RBX, SEGUE_RCX, SEGUE_RDX, SEGUE_RSI, SEGUE_RDI,
                                          SEGUE_RBP, SEGUE_RSP, SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11,
                                          SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15};
    const uint64_t *pushed = (const uint64_t *)(uintptr_t)guest.general.rsp;
    for (unsigned i = 0; i < 16; i++) {
        if (order[i] == SEGUE_RSP)
            continue;
        assert_int_equal(pushed[i], order[i]);
        assert_int_equal(segue_register_get(&guest.general, order[i]), order[i] + 10u);
    }
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(guest.error_code, 0);
}

/* ---- every bit ---- */

static void expect(uint64_t trap, uint64_t error_code, uint64_t address, uint64_t rip)
{
    assert_int_equal(guest.trap_num, trap);
    assert_int_equal(guest.error_code, error_code);
    assert_int_equal(guest.fault_address, address);
    assert_int_equal(guest.general.rip, rip);
}

static uint64_t random_base(void)
{
    switch (state_random() % 4) {
    case 0:
        return 0;
    case 1:
        /* Not canonical. */
        return (state_random() | (uint64_t)1 << 62) & ~((uint64_t)1 << 63);
    default:
        return state_random() % ((uint64_t)1 << 46);
    }
}

static bool is_user(uint64_t base)
{
    return base < (uint64_t)1 << 47;
}

static void every_bit_is_kept(unsigned rounds, uint64_t features)
{
    static unsigned char wanted_area[AREA_SIZE] __attribute__((aligned(64)));
    begin_with(features);
    for (unsigned i = 0; i < rounds; i++) {
        struct segue_regs wanted;
        state_fill_regs(&wanted);
        wanted.rsp = at(guest_stack) + 32768 + state_random() % 1000;
        wanted.rip = at(guest_dump);
        wanted.fs_base = random_base();
        wanted.gs_base = random_base();
        state_fill_xstate(&guest.xstate);
        memcpy(wanted_area, guest.xstate.area, guest.xstate.size);
        guest.general = wanted;
        assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        for (unsigned j = SEGUE_RAX; j <= SEGUE_R15; j++) {
            assert_int_equal(segue_register_get(&state_regs, j), segue_register_get(&wanted, j));
            assert_int_equal(segue_register_get(&guest.general, j), segue_register_get(&wanted, j));
        }
        assert_int_equal(state_regs.rflags, wanted.rflags);
        assert_int_equal(guest.general.rflags, wanted.rflags);
        assert_int_equal(guest.general.rip, at(guest_dump_called));
        assert_int_equal(guest.general.fs_base, wanted.fs_base);
        assert_int_equal(guest.general.gs_base, wanted.gs_base);
        if (guest_may_read_bases) {
            assert_true(state_regs.fs_base == wanted.fs_base || !is_user(wanted.fs_base));
            assert_true(state_regs.gs_base == wanted.gs_base || !is_user(wanted.gs_base));
        }
        assert_int_equal(state_difference(wanted_area, state_area, guest.xstate.features), -1);
        assert_int_equal(state_difference(wanted_area, guest.xstate.area, guest.xstate.features), -1);
    }
}

static void every_bit_is_kept_over_many_random_states(void **state)
{
    (void)state;
    const char *rounds = getenv("SEGUE_TEST_ROUNDS");
    every_bit_is_kept(rounds ? (unsigned)strtoul(rounds, NULL, 10) : 20000, FEATURES);
}

/* Some sets of components are loaded and stored by moves, the others by XRSTOR and XSAVE. */
static void every_bit_is_kept_of_any_set_of_components(void **state)
{
    (void)state;
    static const uint64_t sets[] = {1, 2, 3, 4, 6, 7, 0xe2, 0xe6, 0xe7};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        every_bit_is_kept(2000, sets[i]);
}

/* Eight tiles of 16 rows of 64 bytes, as LDTILECFG takes it; and random bytes in them. */
static void fill_tiles(const struct segue_xstate *xstate)
{
    unsigned char *area = xstate->area;
    uint32_t offset, size;
    uint64_t present;
    state_component(TILE_DATA - 1, &offset, &size);
    memset(area + offset, 0, size);
    area[offset] = 1;
    for (unsigned i = 0; i < 8; i++)
        area[offset + 16 + 2 * i] = 64, area[offset + 48 + i] = 16;
    state_component(TILE_DATA, &offset, &size);
    state_fill_bytes(area + offset, size);
    memcpy(&present, area + XSTATE_HEADER, 8);
    present |= (uint64_t)3 << (TILE_DATA - 1);
    memcpy(area + XSTATE_HEADER, &present, 8);
}

static bool same_tiles(const struct segue_xstate *xstate, const unsigned char *wanted)
{
    const unsigned char *area = xstate->area;
    uint32_t offset, size, data_offset, data_size;
    state_component(TILE_DATA - 1, &offset, &size);
    state_component(TILE_DATA, &data_offset, &data_size);
    return state_is_present(area, TILE_DATA) && memcmp(area + offset, wanted + offset, size) == 0 &&
           memcmp(area + data_offset, wanted + data_offset, data_size) == 0;
}

/* At a call, and at a fault, where they are in the signal frame. The exit status is 0, or how far it came. */
static int run_with_tiles(void)
{
    static unsigned char wanted[16384] __attribute__((aligned(64)));
    begin_with(UINT64_MAX);
    if (!(guest.xstate.features >> TILE_DATA & 1) || guest.xstate.size > sizeof wanted)
        return 1;
    for (unsigned i = 0; i < 1000; i++) {
        state_fill_xstate(&guest.xstate);
        fill_tiles(&guest.xstate);
        memcpy(wanted, guest.xstate.area, guest.xstate.size);
        guest.general.rip = at(i % 2 ? guest_call : guest_undefined);
        if (segue_guest_enter(&guest) != SEGUE_OK || guest.trap_num != (i % 2 ? SEGUE_GUEST_CALLED : 6u))
            return 2;
        if (!same_tiles(&guest.xstate, wanted))
            return 3;
        if (state_difference(wanted, guest.xstate.area, guest.xstate.features) != -1)
            return 4;
    }
    return 0;
}

/* In a process of its own, since what was asked for cannot be given back. */
static void tiles_are_kept(void **state)
{
    (void)state;
    int ending;
    pid_t child = fork();
    if (child == 0) {
        const char *why = tiles_missing();
        if (why)
            print_message("SKIP: %s\n", why);
        _exit(why ? 255 : run_with_tiles());
    }
    assert_int_equal(waitpid(child, &ending, 0), child);
    assert_true(WIFEXITED(ending));
    if (WEXITSTATUS(ending) == 255)
        skip();
    assert_int_equal(WEXITSTATUS(ending), 0);
}

/* The host's own state in all its forms goes in and must not be found there. */
static void nothing_of_the_hosts_vector_state_is_seen(void **state)
{
    (void)state;
    static unsigned char wanted_area[AREA_SIZE] __attribute__((aligned(64)));
    begin_with(FEATURES);
    memcpy(wanted_area, guest.xstate.area, guest.xstate.size);
    for (unsigned i = 0; i < 100; i++) {
        enter(guest_dirty);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        memcpy(guest.xstate.area, wanted_area, guest.xstate.size);
        /* x87 registers that are empty, but hold what was in them; and a vector register. */
        long double one = 1;
        __asm__ volatile("fldt %0\n\tfstp %%st(0)\n\tpcmpeqd %%xmm3, %%xmm3" : : "m"(one) : "st", "xmm3");
        enter(guest_dump);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(state_difference(wanted_area, state_area, guest.xstate.features), -1);
        assert_int_equal(state_difference(wanted_area, guest.xstate.area, guest.xstate.features), -1);
    }
}

/* An area that XRSTOR refuses is refused, on the way in. */
/* Whether the processor refuses to load the area: a child that tries dies. An emulated one may take what a real one
 * does not. */
static bool processor_refuses(const void *area)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)FEATURES), "d"(0) : "memory");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void area_that_cannot_be_loaded_is_a_general_protection_fault(void **state)
{
    (void)state;
    static const struct {
        size_t place;
        uint64_t value;
    } bad[] = {
        {XSTATE_HEADER, (uint64_t)1 << 62},    /* a component that there is not */
        {XSTATE_HEADER + 8, (uint64_t)1 << 1}, /* reserved */
        {24, 0x10000},                         /* reserved bits of MXCSR */
    };
    begin_with(FEATURES);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned char *word = (unsigned char *)guest.xstate.area + bad[i].place;
        uint64_t before;
        memcpy(&before, word, 8);
        memcpy(word, &bad[i].value, 8);
        if (processor_refuses(guest.xstate.area)) {
            enter(guest_call);
            expect(13, 0, 0, at(guest_call));
        } else
            print_message("SKIP row %zu: this processor loads such an area\n", i);
        memcpy(word, &before, 8);
        enter(guest_call);
        expect(SEGUE_GUEST_CALLED, 0, 0, at(guest_called));
    }
}

/* ---- faults and traps ---- */

static void faults_are_told_as_on_the_processor(void **state)
{
    (void)state;
    begin_with(FEATURES);
    guest.general.fs_base = 0;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t no_address = (state_random() | (uint64_t)1 << 62) & ~((uint64_t)1 << 63);
        state_fill_xstate(&guest.xstate);
        enter(guest_undefined);
        expect(6, 0, 0, at(guest_undefined));
        enter(guest_breakpoint);
        expect(3, 0, 0, at(guest_breakpoint) + 1);
        guest.general.rcx = 0;
        enter(guest_divide);
        expect(0, 0, 0, at(guest_divide));
        guest.general.rbx = at(closed) + i;
        enter(guest_load);
        expect(14, guest.error_code & 1 ? 5 : 4, at(closed) + i, at(guest_load));
        enter(guest_store);
        expect(14, guest.error_code & 1 ? 7 : 6, at(closed) + i, at(guest_store));
        enter(guest_jump);
        assert_int_equal(guest.error_code & 0x14, 0x14);
        expect(14, guest.error_code, at(closed) + i, at(closed) + i);
        guest.general.rbx = no_address;
        enter(guest_load);
        expect(13, 0, 0, at(guest_load));
        /* The very first instruction cannot be fetched. */
        enter((const char *)(uintptr_t)no_address);
        expect(13, 0, 0, no_address);
        enter(closed);
        assert_int_equal(guest.trap_num, 14);
        assert_int_equal(guest.fault_address, at(closed));
    }
}

static void state_at_a_fault_is_the_guests(void **state)
{
    (void)state;
    static unsigned char wanted_area[AREA_SIZE] __attribute__((aligned(64)));
    begin_with(FEATURES);
    for (unsigned i = 0; i < 5000; i++) {
        struct segue_regs wanted;
        state_fill_regs(&wanted);
        wanted.rflags |= i % 2 ? FLAG_ALIGNMENT : 0;
        wanted.rsp = state_random();
        wanted.rip = at(guest_undefined);
        wanted.fs_base = random_base();
        wanted.gs_base = random_base();
        state_fill_xstate(&guest.xstate);
        memcpy(wanted_area, guest.xstate.area, guest.xstate.size);
        guest.general = wanted;
        assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        assert_int_equal(guest.trap_num, 6);
        /* The resume flag is what the processor sets when it reports a fault. */
        guest.general.rflags &= ~(uint64_t)0x10000;
        take_selectors(&wanted);
        assert_memory_equal(&guest.general, &wanted, sizeof wanted);
        assert_int_equal(state_difference(wanted_area, guest.xstate.area, guest.xstate.features), -1);
    }
}

/* ---- the bases ---- */

static void accesses_by_a_base_that_cannot_be_are_general_protection_faults(void **state)
{
    (void)state;
    static uint64_t words[4] = {0, 0, 42, 43};
    begin();
    guest.general.fs_base = at(words);
    guest.general.gs_base = 0x8000000000000000u;
    enter(guest_load_fs);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(guest.general.rax, 42);
    enter(guest_load_gs);
    expect(13, 0, 0, at(guest_load_gs));
    assert_int_equal(guest.general.gs_base, 0x8000000000000000u);
    guest.general.gs_base = at(words + 1);
    guest.general.fs_base = 0x123456789abcdef0u;
    enter(guest_load_gs);
    assert_int_equal(guest.general.rax, 43);
    enter(guest_load_fs);
    expect(13, 0, 0, at(guest_load_fs));
    assert_int_equal(guest.general.fs_base, 0x123456789abcdef0u);
    guest.general.fs_base = 0;
    enter(guest_load_fs);
    expect(14, 4, 16, at(guest_load_fs));
}

static void bases_that_the_guest_sets_are_seen(void **state)
{
    (void)state;
    begin();
    if (!guest_may_read_bases)
        skip();
    guest.general.fs_base = 0x8000000000000000u;
    guest.general.rax = 0x1234000;
    guest.general.rbx = 0x5678000;
    enter(guest_set_bases);
    assert_int_equal(guest.general.fs_base, 0x1234000);
    assert_int_equal(guest.general.gs_base, 0x5678000);
}

/* ---- the host ---- */

static void host_keeps_its_state_whatever_the_guest_does(void **state)
{
    (void)state;
    for (int with_area = 0; with_area < 2; with_area++) {
        begin_with(with_area ? FEATURES : 0);
        fesetround(FE_DOWNWARD);
        enter(guest_clobber);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        uint64_t flags;
        uint16_t environment[14];
        uint32_t mxcsr;
        uint16_t control;
        __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
        __asm__ volatile("pushfq\npopq %0" : "=r"(flags));
        __asm__ volatile("fnstenv %0\nfldenv %0" : "+m"(environment));
        assert_int_equal(fegetround(), FE_DOWNWARD);
        assert_int_equal(mxcsr & 0xffc0, 0x1f80 | 0x2000);
        assert_int_equal(control & 0xf3f, 0x33f | 0x400);
        assert_int_equal(environment[4], 0xffff);
        assert_int_equal(flags & (FLAG_DIRECTION | FLAG_ALIGNMENT), 0);
        assert_int_equal(guest.general.rflags & (FLAG_DIRECTION | FLAG_ALIGNMENT), FLAG_DIRECTION | FLAG_ALIGNMENT);
        fesetround(FE_TONEAREST);
        volatile long double one = 1, three = 3;
        assert_true(one / three > 0.33L);
    }
}

/* ---- the trap flag ---- */

static void guest_with_the_trap_flag_is_stepped(void **state)
{
    (void)state;
    begin();
    guest.general.rip = at(guest_nops);
    for (unsigned i = 1; i <= 3; i++) {
        guest.general.rflags = FLAGS_SET | FLAG_TRAP;
        assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
        expect(1, 0, 0, at(guest_nops) + i);
    }
    guest.general.rflags = FLAGS_SET;
    assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
}

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
    count_until_stopped(1000, 1500);
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
        take_selectors(&wanted);
        assert_memory_equal(&guest.general, &wanted, sizeof wanted);
        assert_true(steps > 150);
    }
    assert_int_equal(wrong_ticks, 0);
}

/* Whether it comes before the guest's first instruction, in its code or when it has called already. */
static void request_to_stop_at_any_instruction_is_told_once(void **state)
{
    (void)state;
    unsigned last = 0, calls_before = 0, stops_before = 0;
    begin_stepping();
    for (unsigned i = 1; last == 0; i++) {
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
    assert_true(stops_before > 50);
    assert_true(calls_before > 50);
}

/* ---- misuse, threads, processes ---- */

static void *enter_without_alternate_stack(void *result)
{
    /* AddressSanitizer's threads have one. */
    stack_t off = {.ss_flags = SS_DISABLE}, before;
    sigaltstack(&off, &before);
    *(enum segue_status *)result = segue_guest_enter(&guest);
    sigaltstack(&before, NULL);
    return NULL;
}

static struct segue_guest second;
static unsigned busy;

/* On the thread that runs a guest. */
static void enter_again_from_timer(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info, (void)ucontext;
    busy += segue_guest_enter(&guest) == SEGUE_BUSY && segue_guest_enter(&second) == SEGUE_BUSY &&
            segue_guest_free(&guest) == SEGUE_BUSY;
    segue_guest_stop(&guest, SIGURG);
}

static void running_guest_is_busy(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = enter_again_from_timer, .sa_flags = SA_SIGINFO}, before;
    struct itimerval once = {{0, 0}, {0, 2000}};
    begin();
    busy = 0;
    assert_int_equal(segue_guest_new(&second, &(struct segue_guest_options){.method = method}), SEGUE_OK);
    assert_int_equal(segue_guest_sigaction(SIGALRM, &action, &before), 0);
    setitimer(ITIMER_REAL, &once, NULL);
    enter(guest_count);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_STOPPED);
    assert_int_equal(busy, 1);
    segue_guest_sigaction(SIGALRM, &before, NULL);
    assert_int_equal(segue_guest_free(&second), SEGUE_OK);
}

static void misuse_gives_an_error(void **state)
{
    (void)state;
    static struct segue_guest empty;
    enum segue_status result = SEGUE_OK;
    pthread_t thread;
    begin();
    assert_int_equal(segue_guest_new(NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_guest_enter(NULL), SEGUE_INVALID);
    assert_int_equal(segue_guest_enter(&empty), SEGUE_INVALID);
    assert_int_equal(segue_guest_free(&empty), SEGUE_INVALID);
    assert_int_equal(segue_guest_stop(&empty, SIGURG), SEGUE_INVALID);
    assert_int_equal(segue_guest_catch(NULL), SEGUE_INVALID);
    struct segue_guest_options unknown = {.method = (enum segue_guest_method)7};
    assert_int_equal(segue_guest_new(&second, &unknown), SEGUE_INVALID);
    assert_int_equal(segue_guest_sigaction(0, NULL, NULL), -1);
    struct segue_guest copy = guest;
    assert_int_equal(segue_guest_enter(&copy), SEGUE_INVALID);
    guest.general.rip = at(guest_call);
    assert_int_equal(pthread_create(&thread, NULL, enter_without_alternate_stack, &result), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, SEGUE_UNSUPPORTED);
}

/* A guest of each thread's own. */
static void *run_own_guest(void *result)
{
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, off = {.ss_flags = SS_DISABLE};
    uint64_t *words = calloc(1024, 8);
    struct segue_guest own;
    unsigned right = 0;
    sigaltstack(&stack, NULL);
    if (segue_guest_new(&own, &(struct segue_guest_options){.method = method}) == SEGUE_OK) {
        words[2] = (uint64_t)(uintptr_t)result;
        for (unsigned i = 0; i < 5000; i++) {
            own.general = (struct segue_regs){.rsp = at(words + 1000), .rip = at(guest_load_gs), .rflags = FLAGS_SET};
            own.general.gs_base = at(words);
            /* Its entry is not the one in guest_entry: it faults there, at a gate that is another's. */
            own.general.rip = i % 2 ? at(guest_undefined) : own.entry;
            *(uint64_t *)(uintptr_t)own.general.rsp = 0x1111;
            right += segue_guest_enter(&own) == SEGUE_OK &&
                     (i % 2 ? own.trap_num == 6 : own.trap_num == SEGUE_GUEST_CALLED && own.general.rip == 0x1111);
        }
        segue_guest_free(&own);
    }
    *(unsigned *)result = right;
    sigaltstack(&off, NULL);
    free(stack.ss_sp);
    free(words);
    return NULL;
}

static void threads_run_guests_of_their_own(void **state)
{
    (void)state;
    begin();
    for (unsigned round = 0; round < 5; round++) {
        pthread_t threads[4];
        unsigned results[4];
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run_own_guest, &results[i]), 0);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(results[i], 5000);
        }
    }
}

static void child_process_runs_its_parents_guest(void **state)
{
    (void)state;
    begin();
    guest.general.fs_base = 0;
    enter(guest_call);
    pid_t process = fork();
    if (process == 0) {
        guest.general.rip = at(guest_undefined);
        enum segue_status status = segue_guest_enter(&guest);
        _exit(status == SEGUE_OK && guest.trap_num == 6 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_int_equal(status, 0);
}

/* ---- with segue_install ---- */

static void installed_handler_serves_and_tells_guests_faults(void **state)
{
    (void)state;
    struct segue_mapping mapping;
    begin();
    for (size_t i = 0; i < 2; i++)
        signal(fault_signals[i], SIG_DFL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {
        .window = {.base = at(mapping.memory), .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(mprotect(mapping.memory, PAGE, PROT_NONE), 0);
        *(uint64_t *)((char *)mapping.alias + 16) = 1000 + i;
        /* A load by the guest's own segment base, stepped. */
        guest.general.fs_base = at(mapping.memory);
        guest.general.gs_base = i % 2 ? 0 : 0x8000000000000000u;
        enter(guest_load_fs);
        assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(guest.general.rax, 1000 + i);
        guest.general.fs_base = 0;
        guest.general.rbx = at(closed);
        enter(guest_load);
        expect(14, 4, at(closed), at(guest_load));
        /* The host's own faults go as ever. */
        struct segue_trial trial;
        if (segue_try(&trial) == 0) {
            *(volatile char *)closed = 1;
            fail();
        }
    }
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    segue_mapping_destroy(&mapping);
}

#define BOTH(test)                                                                                                     \
    {#test " (instructions)", test, use_instructions, NULL, NULL},                                                     \
    {                                                                                                                  \
#test " (system calls)", test, use_system_calls, NULL, NULL                                                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(registers_come_in_and_go_out_as_in_trapframe),
        BOTH(every_bit_is_kept_over_many_random_states),
        BOTH(every_bit_is_kept_of_any_set_of_components),
        BOTH(nothing_of_the_hosts_vector_state_is_seen),
        BOTH(tiles_are_kept),
        BOTH(area_that_cannot_be_loaded_is_a_general_protection_fault),
        BOTH(faults_are_told_as_on_the_processor),
        BOTH(state_at_a_fault_is_the_guests),
        BOTH(accesses_by_a_base_that_cannot_be_are_general_protection_faults),
        BOTH(bases_that_the_guest_sets_are_seen),
        BOTH(host_keeps_its_state_whatever_the_guest_does),
        BOTH(guest_with_the_trap_flag_is_stepped),
        BOTH(guest_is_stopped_by_another_thread_and_goes_on),
        BOTH(guest_is_stopped_by_a_handler_and_goes_on),
        BOTH(calls_and_stops_mix),
        BOTH(handlers_find_the_hosts_bases_at_any_instruction),
        BOTH(handlers_find_the_hosts_bases_at_every_instruction_of_the_way_in),
        BOTH(handlers_find_the_hosts_bases_at_every_instruction_of_a_round_trip),
        BOTH(request_to_stop_at_any_instruction_is_told_once),
        BOTH(misuse_gives_an_error),
        BOTH(running_guest_is_busy),
        BOTH(threads_run_guests_of_their_own),
        BOTH(child_process_runs_its_parents_guest),
        BOTH(installed_handler_serves_and_tells_guests_faults),
    };
    if (!state_can_be_dumped())
        return STATE_SKIPPED;
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
