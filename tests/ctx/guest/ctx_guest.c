/* ctx_guest.c: guests, with both ways of setting the segment bases: their state on the way in and out, their faults,
 * and misuse. The state is looked at from inside the guest too, by assembly that needs no register for it.
 * ctx_guest_signals.c has the signals that come meanwhile. */
#include "guest_fixture.h"

#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/processor/selectors.h"
#include "tests/support/processor/tiles.h"

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

/* An area that XRSTOR refuses is refused, on the way in. */
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
        /* A guest runs with the host's. */
        selectors_read(wanted.selectors);
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
        BOTH(misuse_gives_an_error),
        BOTH(running_guest_is_busy),
        BOTH(threads_run_guests_of_their_own),
        BOTH(child_process_runs_its_parents_guest),
        BOTH(installed_handler_serves_and_tells_guests_faults),
    };
    if (!fixture_prepare())
        return STATE_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
