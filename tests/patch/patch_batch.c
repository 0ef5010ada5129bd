/* patch_batch.c: many changes of code at once: what is made, what is not, and what threads meet afterwards. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
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
    };
    int failed = cmocka_run_group_tests(alone, prepare, NULL);
    return failed + cmocka_run_group_tests(with_others, prepare_company, NULL);
}
