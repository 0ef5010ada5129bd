/* patch_batch.c: many changes of code at once: what is made, what is not, and what threads meet meanwhile. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "batch_code.h"
#include "platform/threads/thread.h"
#include "tests/support/company.h"

/* ---- what is made ---------------------------------------------------------------------------------------------- */

static void all_are_made_in_every_way_and_nothing_else(void **state)
{
    static uint8_t expected[CODE_SIZE];
    struct poke_change changes[SITES];
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 0; way < WAYS; way++) {
        struct code code;
        code_create(&code, all_ways[way]);
        code_close(&code);
        memcpy(expected, code.memory, CODE_SIZE);
        for (unsigned i = 0; i < SITES; i++)
            memcpy(expected + (site_of(&code, i) - code.memory), moves[1], 5);
        set_moves(changes, &code, 1);
        assert_int_equal(poke_batch(changes, SITES, all_ways[way]), SEGUE_OK);
        for (unsigned i = 0; i < SITES; i++)
            assert_int_equal(changes[i].status, SEGUE_OK);
        assert_memory_equal(code.memory, expected, CODE_SIZE);
        for (unsigned i = 0; i < CODE_SIZE; i += PAGE)
            assert_int_equal(protection_of(code.memory + i), PROT_READ | PROT_EXEC);
        code_destroy(&code);
    }
}

/* Neighbours that touch, of all sizes, in an order of their own. */
static void any_sizes_and_order_are_taken(void **state)
{
    static uint8_t expected[CODE_SIZE];
    struct poke_change changes[POKE_BATCH];
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 0; way < WAYS; way++) {
        struct code code;
        unsigned place[POKE_BATCH], at = PAGE - 40;
        code_create(&code, all_ways[way]);
        code_close(&code);
        memcpy(expected, code.memory, CODE_SIZE);
        for (unsigned i = 0; i < POKE_BATCH; i++) {
            place[i] = at;
            at += 1 + i % POKE_BYTES + (i % 5 == 0) * (i % 7);
        }
        for (unsigned i = 0; i < POKE_BATCH; i++) {
            unsigned k = i * 91 % POKE_BATCH;
            uint8_t bytes[POKE_BYTES];
            memset(bytes, (int)(0x40 + k % 16), sizeof bytes);
            set_change(&changes[i], code.memory + place[k], bytes, 1 + k % POKE_BYTES);
            memcpy(expected + place[k], bytes, 1 + k % POKE_BYTES);
        }
        assert_int_equal(poke_batch(changes, POKE_BATCH, all_ways[way]), SEGUE_OK);
        assert_memory_equal(code.memory, expected, CODE_SIZE);
        code_destroy(&code);
    }
}

/* ---- what cannot be made --------------------------------------------------------------------------------------- */

static void overlapping_and_senseless_ones_are_refused_and_others_made(void **state)
{
    struct poke_change changes[POKE_BATCH + 1];
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    set_change(&changes[0], code.memory + 100, moves[0], 5);
    set_change(&changes[1], code.memory + 104, moves[0], 5);
    set_change(&changes[2], code.memory + 109, moves[0], 5);
    set_change(&changes[3], code.memory + 200, "\xcc\x90", 2);
    set_change(&changes[4], code.memory + 210, moves[0], 5);
    changes[4].size = 0;
    set_change(&changes[5], code.memory + 220, moves[0], 5);
    changes[5].size = POKE_BYTES + 1;
    set_change(&changes[6], (void *)UINTPTR_MAX, moves[0], 5);
    set_change(&changes[7], code.memory + 230, moves[0], 5);
    assert_int_equal(poke_batch(changes, 8, POKE_ANY), SEGUE_INVALID);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(changes[i].status, i == 2 || i == 7 ? SEGUE_OK : SEGUE_INVALID);
    for (unsigned i = 0; i < CODE_SIZE; i++)
        if (!(i >= 109 && i < 114) && !(i >= 230 && i < 235))
            assert_int_equal(code.memory[i], 0x90);
    assert_memory_equal(code.memory + 109, moves[0], 5);
    assert_memory_equal(code.memory + 230, moves[0], 5);
    for (unsigned i = 0; i <= POKE_BATCH; i++)
        set_change(&changes[i], code.memory + 400 + 6 * i, moves[0], 5);
    assert_int_equal(poke_batch(changes, POKE_BATCH + 1, POKE_ANY), SEGUE_INVALID);
    assert_int_equal(changes[POKE_BATCH].status, SEGUE_INVALID);
    assert_int_equal(code.memory[400], 0x90);
    assert_int_equal(poke_batch(changes, 0, POKE_ANY), SEGUE_OK);
    code_destroy(&code);
}

/* A page without memory, a read-only page of a shared file, and an address of the kernel's. */
static void what_cannot_be_written_leaves_the_others_made(void **state)
{
    static const unsigned ways[] = {POKE_KERNEL, POKE_KERNEL | POKE_SPANS, POKE_ANY, POKE_PROTECT};
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 0; way < 4; way++) {
        struct poke_change changes[8];
        struct code code;
        code_create(&code, POKE_KERNEL);
        munmap(code.memory + PAGE, PAGE);
        int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        assert_ptr_equal(mmap(code.memory + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0),
                         code.memory + 2 * PAGE);
        close(file);
        assert_int_equal(mprotect(code.memory, PAGE, PROT_READ | PROT_EXEC), 0);
        assert_int_equal(mprotect(code.memory + 3 * PAGE, PAGE, PROT_READ | PROT_EXEC), 0);
        set_change(&changes[0], (void *)(uintptr_t)0xffffffffff600000u, moves[0], 5);
        set_change(&changes[1], code.memory + 3 * PAGE + 5, moves[0], 5);
        set_change(&changes[2], code.memory + 3 * PAGE - 2, moves[0], 5);
        set_change(&changes[3], code.memory + 2 * PAGE + 50, moves[0], 5);
        set_change(&changes[4], code.memory + PAGE + 50, moves[0], 5);
        set_change(&changes[5], code.memory + PAGE - 2, moves[0], 5);
        set_change(&changes[6], code.memory + PAGE - 10, moves[0], 5);
        set_change(&changes[7], code.memory + 6, moves[0], 5);
        assert_int_equal(poke_batch(changes, 8, ways[way]), SEGUE_UNSUPPORTED);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(changes[i].status, i == 1 || i >= 6 ? SEGUE_OK : SEGUE_UNSUPPORTED);
        assert_memory_equal(code.memory + 3 * PAGE, "\x90\x90\x90\x90\x90\xb8\x11\x22\x33\x44\x90", 11);
        assert_memory_equal(code.memory + PAGE - 10, "\xb8\x11\x22\x33\x44\x90\x90\x90\x90\x90", 10);
        assert_memory_equal(code.memory + 6, moves[0], 5);
        assert_int_equal(protection_of(code.memory), PROT_READ | PROT_EXEC);
        assert_int_equal(protection_of(code.memory + 3 * PAGE), PROT_READ | PROT_EXEC);
        munmap(code.memory, CODE_SIZE);
    }
}

static void *map_file_page(void *at, const char *bytes, off_t offset, size_t size)
{
    int file = memfd_create("segue-test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(file, PAGE), 0);
    assert_int_equal(pwrite(file, bytes, size, offset), size);
    void *page = mmap(at, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
    close(file);
    return page;
}

/* The kernel writes to one page and not to the other, where the pun's successor is, or the pun. */
static void what_depends_on_a_failed_change_is_not_made(void **state)
{
    struct poke_change changes[3];
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    code_create(&code, POKE_KERNEL);
    assert_ptr_equal(map_file_page(code.memory + PAGE, "\x48\x8b\x06", 0, 3), code.memory + PAGE);
    assert_int_equal(mprotect(code.memory, PAGE, PROT_READ | PROT_EXEC), 0);
    set_change(&changes[0], code.memory + PAGE, "\x48\x8b\x07", 3);
    set_change(&changes[1], code.memory + PAGE - 3, "\xe9\x01\x02", 3);
    changes[1].target = (uint64_t)(uintptr_t)code.memory;
    set_change(&changes[2], code.memory + PAGE - 10, "\x48\x8b\x07", 3);
    assert_int_equal(poke_batch(changes, 3, POKE_KERNEL), SEGUE_UNSUPPORTED);
    assert_int_equal(changes[0].status, SEGUE_UNSUPPORTED);
    assert_int_equal(changes[1].status, SEGUE_UNSUPPORTED);
    assert_int_equal(changes[2].status, SEGUE_OK);
    assert_memory_equal(code.memory + PAGE - 10, "\x48\x8b\x07\x90\x90\x90\x90\x90\x90\x90\x48\x8b\x06", 13);
    /* No breakpoint has stood there, so no thread jumped to the target. */
    struct poke_thread thread = {.rip = (uint64_t)(uintptr_t)code.memory + PAGE - 2, .may_be_emulated = true};
    assert_false(poke_trap(&thread));
    munmap(code.memory, CODE_SIZE);

    code_create(&code, POKE_KERNEL);
    assert_ptr_equal(map_file_page(code.memory, "\xe9\x01\x02", PAGE - 3, 3), code.memory);
    assert_int_equal(mprotect(code.memory + PAGE, PAGE, PROT_READ | PROT_EXEC), 0);
    set_change(&changes[0], code.memory + PAGE - 3, "\x48\x8b\x07", 3);
    set_change(&changes[1], code.memory + PAGE, "\x48\x8b\x06", 3);
    set_change(&changes[2], code.memory + PAGE + 3, "\x48\x8b\x06", 3);
    assert_int_equal(poke_batch(changes, 3, POKE_KERNEL), SEGUE_UNSUPPORTED);
    assert_int_equal(changes[0].status, SEGUE_UNSUPPORTED);
    assert_int_equal(changes[1].status, SEGUE_UNSUPPORTED);
    assert_int_equal(changes[2].status, SEGUE_OK);
    assert_memory_equal(code.memory + PAGE - 3, "\xe9\x01\x02\x90\x90\x90\x48\x8b\x06", 9);
    munmap(code.memory, CODE_SIZE);
}

/* A thread that was trapped comes to its handler late: after many other changes. */
static void thread_that_comes_late_goes_on(void **state)
{
    struct poke_change changes[SITES];
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    assert_int_equal(poke((uint64_t)code.memory + 6, (const uint8_t *)moves[0], 5, POKE_KERNEL), SEGUE_OK);
    for (unsigned i = 0; i < 20; i++) {
        set_moves(changes, &code, i % 2);
        for (unsigned k = 0; k < SITES; k++)
            changes[k].address += i;
        assert_int_equal(poke_batch(changes, SITES, POKE_KERNEL | POKE_SPANS), SEGUE_OK);
    }
    assert_true(trap_at(code.memory + 6));
    assert_false(trap_at(code.memory + 7));
    for (unsigned k = 0; k < SITES; k++)
        assert_true(trap_at(site_of(&code, k)));
    /* The program's own, by now. */
    assert_int_equal(poke_byte((uint64_t)code.memory + 6, BREAKPOINT, POKE_KERNEL), SEGUE_OK);
    assert_false(trap_at(code.memory + 6));
    code_destroy(&code);
}

/* ---- a batch that has stopped in the middle -------------------------------------------------------------------- */

static volatile int stopped, may_go_on;
static struct segue_mapping stopped_code;

/* Stops the thread that changes the code, at a page of the code's second view that is closed, until it may go on. */
static void stop(int number, siginfo_t *info, void *ucontext)
{
    const struct timespec time = {.tv_nsec = 100000};
    (void)number;
    (void)info;
    (void)ucontext;
    stopped = 1;
    while (!may_go_on)
        nanosleep(&time, NULL);
    mprotect((char *)stopped_code.alias + PAGE, PAGE, PROT_READ | PROT_WRITE);
}

#define JUMPS 100u
#define TARGETS (2 * PAGE)

static uint8_t *jump_of(unsigned i)
{
    return (uint8_t *)stopped_code.memory + PAGE - 1 - 23 * (JUMPS - 1 - i);
}

/* Each site, mov eax, 1; ret, becomes a jump to mov eax, 2; ret. Of every third jump only three bytes change, as of a
 * pun: its last two are there before. The last jump ends on the second page. */
static void set_jumps(struct poke_change *changes)
{
    for (unsigned i = 0; i < JUMPS; i++) {
        uint8_t *at = jump_of(i), jump[5] = {0xe9};
        int32_t distance = (int32_t)((uint8_t *)stopped_code.memory + TARGETS + 8 * i - (at + 5));
        memcpy(jump + 1, &distance, sizeof distance);
        bool is_pun = i % 3 == 0 && i < JUMPS - 1;
        set_change(&changes[i], at, jump, is_pun ? 3 : 5);
        changes[i].target = is_pun ? (uint64_t)(uintptr_t)(at + 5) + (uint64_t)(int64_t)distance : 0;
        if (is_pun)
            memcpy((uint8_t *)stopped_code.alias + (at + 3 - (uint8_t *)stopped_code.memory), jump + 3, 2);
    }
}

static void make_jumps(void)
{
    assert_int_equal(segue_mapping_create(NULL, 4 * PAGE, &stopped_code), SEGUE_OK);
    memset(stopped_code.memory, 0x90, 4 * PAGE);
    for (unsigned i = 0; i < JUMPS; i++) {
        memcpy(jump_of(i), "\xb8\1\0\0\0\xc3", 6);
        memcpy((uint8_t *)stopped_code.memory + TARGETS + 8 * i, "\xb8\2\0\0\0\xc3", 6);
    }
    /* One of the program's own, between. */
    jump_of(7)[10] = BREAKPOINT;
    assert_int_equal(mprotect(stopped_code.memory, 4 * PAGE, PROT_READ | PROT_EXEC), 0);
    assert_int_equal(poke_alias_add((uint64_t)(uintptr_t)stopped_code.memory, 4 * PAGE, stopped_code.alias), SEGUE_OK);
}

static void *make_batch(void *changes)
{
    block_signals();
    return (void *)(uintptr_t)poke_batch(changes, JUMPS, POKE_ALIAS);
}

static unsigned run_jump(unsigned i)
{
    uint64_t eax = 7;
    __asm__ volatile(CALL("%1") : "+a"(eax) : "r"(jump_of(i)) : "memory", "cc");
    return (unsigned)eax;
}

static void other_threads_go_through_all_jumps_of_a_batch(void **state)
{
    const struct sigaction fault = {.sa_sigaction = stop, .sa_flags = SA_SIGINFO};
    static struct poke_change changes[JUMPS];
    pthread_t thread;
    void *status;
    (void)state;
    if (!can_serialise())
        skip();
    sigaction(SIGSEGV, &fault, NULL);
    make_jumps();
    take_traps();
    set_jumps(changes);
    /* A place that had a breakpoint a moment ago, and has the program's now. */
    uint8_t *before = (uint8_t *)stopped_code.memory + 3 * PAGE + 6;
    assert_int_equal(poke((uint64_t)before, (const uint8_t *)moves[0], 5, POKE_ALIAS), SEGUE_OK);
    assert_int_equal(poke_byte((uint64_t)before, BREAKPOINT, POKE_ALIAS), SEGUE_OK);
    assert_int_equal(mprotect((char *)stopped_code.alias + PAGE, PAGE, PROT_READ), 0);
    stopped = may_go_on = 0;
    assert_int_equal(pthread_create(&thread, NULL, make_batch, changes), 0);
    while (!stopped)
        sched_yield();
    unsigned expected = 0;
    for (unsigned i = 0; i < JUMPS; i++) {
        bool stands = *jump_of(i) == BREAKPOINT;
        expected += stands;
        assert_int_equal(run_jump(i), 2);
    }
    /* All but those that are one store. */
    assert_true(expected > JUMPS / 4);
    assert_int_equal(traps, expected);
    assert_int_equal(emulated, expected);
    assert_false(trap_at(jump_of(7) + 10));
    assert_false(trap_at(before));
    may_go_on = 1;
    pthread_join(thread, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
    for (unsigned i = 0; i < JUMPS; i++) {
        assert_int_equal(run_jump(i), 2);
        assert_true(*jump_of(i) == 0xe9);
    }
    assert_int_equal(traps, expected);
    assert_int_equal(jump_of(7)[10], BREAKPOINT);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    assert_int_equal(poke_alias_remove((uint64_t)(uintptr_t)stopped_code.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&stopped_code), SEGUE_OK);
}

/* No thread can meet a breakpoint of such a change: none was announced. */
static void lone_thread_has_no_breakpoints(void **state)
{
    struct poke_change changes[SITES];
    struct code code;
    (void)state;
    if (!can_serialise() || !platform_thread_is_alone())
        skip();
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    set_moves(changes, &code, 1);
    assert_int_equal(poke_batch(changes, SITES, POKE_KERNEL), SEGUE_OK);
    for (unsigned i = 0; i < SITES; i++) {
        assert_memory_equal(site_of(&code, i), moves[1], 5);
        assert_false(trap_at(site_of(&code, i)));
    }
    code_destroy(&code);
}

static int prepare(void **state)
{
    (void)state;
    return poke_prepare() == SEGUE_OK ? 0 : -1;
}

static int prepare_company(void **state)
{
    return keep_company() ? prepare(state) : -1;
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(lone_thread_has_no_breakpoints),
        cmocka_unit_test(all_are_made_in_every_way_and_nothing_else),
        cmocka_unit_test(any_sizes_and_order_are_taken),
        cmocka_unit_test(overlapping_and_senseless_ones_are_refused_and_others_made),
        cmocka_unit_test(what_cannot_be_written_leaves_the_others_made),
        cmocka_unit_test(what_depends_on_a_failed_change_is_not_made),
    };
    const struct CMUnitTest with_others[] = {
        cmocka_unit_test(all_are_made_in_every_way_and_nothing_else),
        cmocka_unit_test(any_sizes_and_order_are_taken),
        cmocka_unit_test(overlapping_and_senseless_ones_are_refused_and_others_made),
        cmocka_unit_test(what_cannot_be_written_leaves_the_others_made),
        cmocka_unit_test(what_depends_on_a_failed_change_is_not_made),
        cmocka_unit_test(thread_that_comes_late_goes_on),
        cmocka_unit_test(other_threads_go_through_all_jumps_of_a_batch),
    };
    int failed = cmocka_run_group_tests(alone, prepare, NULL);
    return failed + cmocka_run_group_tests(with_others, prepare_company, NULL);
}
