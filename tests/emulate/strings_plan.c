/* strings_plan.c: plans and steps of repeated strings without a handler's regions: any number of windows, of any size
 * and kind, and any count. */
#include <segue/emulate.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "emulate/details.h"
#include "tests/support/test.h"

#define PAGE 4096u
#define SIZE (64u * 1024)

static void on_signal(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)registers[REG_RIP];
    (void)info;
    if (!segue_recover(&rip))
        signal(number, SIG_DFL);
    registers[REG_RIP] = (greg_t)rip;
}

static void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    assert_int_equal(segue_replay_prepare(), SEGUE_OK);
}

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    memcpy(bytes, (const void *)((uintptr_t)context + address), size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    memcpy((void *)((uintptr_t)context + address), bytes, size);
    return SEGUE_OK;
}

/* Runs it to its end, as a thread that comes back to it does. Returns the number of steps. */
static unsigned long run(const char *bytes, size_t size, struct segue_regs *regs, const struct segue_window *windows,
                         size_t count)
{
    static struct segue_plan plan;
    struct segue_insn insn;
    uint64_t rip = regs->rip;
    unsigned long steps = 0;
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_OK);
    for (; regs->rip == rip; steps++) {
        if (segue_plan(&insn, regs, NULL, NULL, windows, count, &plan) != SEGUE_OK)
            fail_msg("refused: %s", plan.refusal);
        assert_true(details_of(&plan)->elements > 0);
        assert_int_equal(segue_step(&plan, regs, NULL, NULL), SEGUE_OK);
    }
    return steps;
}

/* Windows of a few bytes to a few hundred over `closed`, which lead to `place` in reverse order. */
static size_t make_windows(char *closed, char *place, unsigned seed, bool devices, struct segue_window *windows)
{
    size_t count = 0;
    char *end = place + SIZE;
    srand(seed);
    for (size_t at = 0; at < SIZE; count++) {
        size_t size = 1 + (size_t)rand() % (rand() % 4 ? 9 : 900);
        size = size > SIZE - at ? SIZE - at : size;
        end -= size;
        windows[count] = (struct segue_window){
            .base = (uint64_t)(uintptr_t)closed + at, .size = size, .kind = SEGUE_WINDOW_ALIAS, .alias = end};
        if (devices && count % 5 == 0) {
            windows[count].kind = SEGUE_WINDOW_CALLBACK;
            windows[count].read = device_read;
            windows[count].write = device_write;
            windows[count].context = (void *)((uintptr_t)end - windows[count].base);
        }
        at += size;
    }
    return count;
}

static char byte_of(const struct segue_window *windows, size_t count, uint64_t address)
{
    for (size_t i = 0; i < count; i++)
        if (address - windows[i].base < windows[i].size) {
            uint64_t place = windows[i].kind == SEGUE_WINDOW_ALIAS
                                 ? (uint64_t)(uintptr_t)windows[i].alias - windows[i].base
                                 : (uint64_t)(uintptr_t)windows[i].context;
            return *(char *)(uintptr_t)(place + address);
        }
    return 0;
}

static void string_goes_over_any_number_of_windows_of_any_size(void **state)
{
    (void)state;
    static struct segue_window windows[SIZE];
    static char place[SIZE], bytes[SIZE];
    char *closed = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    catch_faults();
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 5 + i / 255);
    static const struct {
        const char *code;
        size_t size;
    } moves[] = {{"\xf3\xa4", 2}, {"\x66\xf3\xa5", 3}, {"\xf3\xa5", 2}, {"\xf3\x48\xa5", 3}};
    for (unsigned seed = 1; seed < 9; seed++)
        for (unsigned i = 0; i < 4; i++)
            for (int down = 0; down < 2; down++) {
                uint64_t element = (uint64_t)1 << i, count = (SIZE - 64) / element, all = count * element;
                /* A device takes an element that lies in one window; bytes do. */
                size_t window_count = make_windows(closed, place, seed, element == 1, windows);
                struct segue_regs regs = {.rip = 0x400000, .rflags = down ? 0x602 : 0x202, .rcx = count};
                regs.rsi = (uint64_t)(uintptr_t)bytes + 3 + (down ? all - element : 0);
                regs.rdi = (uint64_t)(uintptr_t)closed + 5 + (down ? all - element : 0);
                memset(place, 0, sizeof place);
                run(moves[i].code, moves[i].size, &regs, windows, window_count);
                assert_int_equal(regs.rcx, 0);
                for (size_t k = 0; k < all; k += 97)
                    if (byte_of(windows, window_count, (uint64_t)(uintptr_t)closed + 5 + k) != bytes[3 + k])
                        fail_msg("seed %u, element %u, down %d, byte %zu", seed, (unsigned)element, down, k);
            }
    munmap(closed, SIZE);
}

/* One alias of a page stands behind 1,000 windows side by side. */
static void windows_are_more_than_pieces(void **state)
{
    (void)state;
    enum { WINDOWS = 1000 };
    static struct segue_window windows[WINDOWS];
    static char place[PAGE];
    char *closed = mmap(NULL, WINDOWS * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    catch_faults();
    for (size_t i = 0; i < WINDOWS; i++)
        windows[i] = (struct segue_window){
            .base = (uint64_t)(uintptr_t)closed + i * PAGE, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = place};
    struct segue_regs regs = {.rip = 0x400000, .rflags = 0x202, .rcx = WINDOWS * PAGE / 8 - 1, .rax = 7};
    regs.rdi = (uint64_t)(uintptr_t)closed + 3;
    /* An element lies over each edge: two steps a page at most. */
    assert_true(run("\xf3\x48\xab", 3, &regs, windows, WINDOWS) <= 2 * WINDOWS);
    munmap(closed, WINDOWS * PAGE);
}

/* What is a multiple of 4 GiB is not nothing. */
static void counts_beyond_32_bits_are_planned_in_parts(void **state)
{
    (void)state;
    uint64_t size = UINT64_C(5) << 31;
    char *closed = mmap(NULL, size + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *open = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(closed != MAP_FAILED && open != MAP_FAILED);
    catch_faults();
    struct segue_window window = {
        .base = (uint64_t)(uintptr_t)closed, .size = size, .kind = SEGUE_WINDOW_ALIAS, .alias = open};
    static const uint64_t counts[] = {
        UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1, UINT64_C(1) << 33,      UINT64_C(3) << 31, UINT32_MAX,
        UINT64_MAX,        UINT64_MAX / 8,          (UINT64_C(1) << 32) - 8};
    open[70] = 9;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct segue_plan plan;
        struct segue_insn insn;
        struct segue_regs regs = {.rip = 0x400000, .rflags = 0x202, .rcx = counts[i], .rax = 9};
        regs.rdi = (uint64_t)(uintptr_t)closed + 20;
        assert_int_equal(segue_decode(SEGUE_MODE_64, "\xf2\xae", 2, &insn), SEGUE_OK);
        assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_OK);
        assert_true(details_of(&plan)->elements > 0 && details_of(&plan)->elements <= counts[i]);
        /* The accesses list all of it. */
        uint64_t to_the_end = UINT64_MAX - regs.rdi + 1;
        assert_int_equal(plan.accesses[0].size, counts[i] < to_the_end ? counts[i] : to_the_end);
        assert_int_equal(segue_step(&plan, &regs, NULL, NULL), SEGUE_OK);
        assert_int_equal(regs.rdi, (uint64_t)(uintptr_t)closed + 71);
        assert_int_equal(counts[i] - regs.rcx, 51);
        assert_int_equal(regs.rip, 0x400002);
    }
    munmap(closed, size + PAGE);
    munmap(open, size + PAGE);
}

static void forced_window_that_is_not_prepared_is_refused(void **state)
{
    (void)state;
    static char memory[64];
    struct segue_window window = {
        .base = (uint64_t)(uintptr_t)memory, .size = sizeof memory, .kind = SEGUE_WINDOW_FORCED};
    struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)memory, .rflags = 0x202, .rax = 5};
    struct segue_insn insn;
    struct segue_plan plan;
    catch_faults();
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x48\x89\x03", 3, &insn), SEGUE_OK);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_non_null(plan.refusal);
    assert_int_equal(segue_forced_prepare(), SEGUE_OK);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_OK);
    assert_int_equal(segue_step(&plan, &regs, NULL, NULL), SEGUE_OK);
    assert_int_equal(memory[0], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forced_window_that_is_not_prepared_is_refused),
        cmocka_unit_test(string_goes_over_any_number_of_windows_of_any_size),
        cmocka_unit_test(windows_are_more_than_pieces),
        cmocka_unit_test(counts_beyond_32_bits_are_planned_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
