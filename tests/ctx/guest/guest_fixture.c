/* guest_fixture.c: see the header. */
#include "guest_fixture.h"

#include <sys/mman.h>

static _Alignas(16) char guest_stack[65536];
char *closed;
struct segue_guest guest;
enum segue_guest_method method;

const int fault_signals[5] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

uint64_t at(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

void begin_with(uint64_t features)
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

void begin(void)
{
    begin_with(0);
}

void enter(const char *code)
{
    guest.general.rip = at(code);
    assert_int_equal(segue_guest_enter(&guest), SEGUE_OK);
}

int use_instructions(void **state)
{
    (void)state;
    method = SEGUE_GUEST_INSTRUCTIONS;
    return 0;
}

int use_system_calls(void **state)
{
    (void)state;
    method = SEGUE_GUEST_SYSTEM_CALLS;
    return 0;
}

void expect(uint64_t trap, uint64_t error_code, uint64_t address, uint64_t rip)
{
    assert_int_equal(guest.trap_num, trap);
    assert_int_equal(guest.error_code, error_code);
    assert_int_equal(guest.fault_address, address);
    assert_int_equal(guest.general.rip, rip);
}

uint64_t random_base(void)
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

void every_bit_is_kept(unsigned rounds, uint64_t features)
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

bool fixture_prepare(void)
{
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return state_can_be_dumped();
}
