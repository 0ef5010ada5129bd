/* faults.c: faults on Windows: their addresses and directions, blocks that may fault, mappings, and what is refused. */
#if !defined(_WIN32)
#error "tests/platform/windows/faults.c is specific to Windows"
#endif

#include "fixture.h"

/* ---- mappings ---- */

static void mapping_has_two_views(void **state)
{
    struct segue_mapping two, at, taken;
    MEMORY_BASIC_INFORMATION before;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, 3 * PAGE, &two), SEGUE_OK);
    ((char *)two.memory)[5000] = 17;
    assert_int_equal(((char *)two.alias)[5000], 17);
    uint64_t distance = (uint64_t)(uintptr_t)two.alias - (uint64_t)(uintptr_t)two.memory;
    assert_int_equal(distance, (uint64_t)(int64_t)(int32_t)distance);
    assert_true(VirtualQuery((char *)two.memory - 1, &before, sizeof before) && before.State == MEM_RESERVE);
    assert_true(VirtualQuery((char *)two.alias + 0x10000, &before, sizeof before) && before.State == MEM_RESERVE);
    assert_int_equal(segue_mapping_protect(&two, PAGE, PAGE, SEGUE_READ), SEGUE_OK);
    assert_int_equal(((volatile char *)two.memory)[5000], 17);
    assert_int_equal(segue_mapping_create(two.memory, PAGE, &taken), SEGUE_EXISTS);
    void *free_again = two.memory;
    assert_int_equal(segue_mapping_destroy(&two), SEGUE_OK);
    assert_int_equal(segue_mapping_create(free_again, PAGE, &at), SEGUE_OK);
    assert_ptr_equal(at.memory, free_again);
    assert_int_equal(segue_mapping_destroy(&at), SEGUE_OK);
    /* Views begin at multiples of 64 KiB. */
    assert_int_equal(segue_mapping_create((char *)free_again + PAGE, PAGE, &at), SEGUE_SYSTEM);
}

/* ---- blocks that may fault ---- */

static volatile int times;

/* The fault that an access meets: by what it was: 0 a read, 1 a write, 8 a fetch. */
static struct segue_fault fault_of(volatile char *page, unsigned kind)
{
    struct segue_trial trial;
    if (segue_try(&trial) == 0) {
        if (kind == 8)
            ((void (*)(void))(uintptr_t)page)();
        else if (kind == 1)
            page[5] = 1;
        else
            times += page[5];
        segue_try_end(&trial);
        return (struct segue_fault){.trap = 0};
    }
    assert_int_equal(segue_try_end(&trial), SEGUE_NOT_FOUND);
    return trial.fault;
}

static void fault_has_its_address_and_its_direction(void **state)
{
    volatile char *page = closed_page();
    (void)state;
    begin(note);
    struct segue_fault read = fault_of(page, 0), write = fault_of(page, 1), fetch = fault_of(page, 8);
    assert_int_equal(read.address, (uintptr_t)page + 5);
    assert_int_equal(read.direction, SEGUE_READ);
    assert_int_equal(read.trap, 14);
    assert_int_equal((uint32_t)read.code, EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(read.signal, 0);
    assert_int_equal(write.address, (uintptr_t)page + 5);
    assert_int_equal(write.direction, SEGUE_WRITE);
    assert_int_equal(fetch.address, (uintptr_t)page);
    assert_int_equal(fetch.direction, SEGUE_FETCH);
    assert_int_equal(fetch.instruction, (uintptr_t)page);
#if defined(__x86_64__)
    /* An address that is not canonical is not reported. */
    struct segue_fault beyond = fault_of((volatile char *)0x8000000000000000, 1);
    assert_int_equal(beyond.trap, 13);
    assert_false(beyond.address_known);
#endif
    end();
}

/* ---- what there is not ---- */

#if defined(__x86_64__)
#define NEEDED "a system with signals"
#else
#define NEEDED "64-bit code"
#endif

static void what_windows_lacks_is_refused_by_name(void **state)
{
    static const struct {
        enum segue_feature feature;
        const char *reason;
    } lacks[] = {
        {SEGUE_FEATURE_HOT, "hot sites need " NEEDED},
        {SEGUE_FEATURE_GUEST, "guests need " NEEDED},
        {SEGUE_FEATURE_DIRECT_RESTORE, "a direct restore needs " NEEDED},
        {SEGUE_FEATURE_FORCED, "this system lets no process write past its own protection"},
        {SEGUE_FEATURE_ALTERNATE_STACK, "the system has no alternate stacks: handlers run on the thread's"},
        {SEGUE_FEATURE_SEGMENT, "the bases of FS and GS are the system's own here"},
    };
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}};
    struct segue_guest guest;
    (void)state;
    for (unsigned i = 0; i < sizeof lacks / sizeof *lacks; i++) {
        assert_int_equal(segue_feature_check(lacks[i].feature), SEGUE_UNSUPPORTED);
        assert_string_equal(segue_reason(), lacks[i].reason);
    }
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_REPLAY), SEGUE_OK);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_NEAR), SEGUE_OK);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_segment_enable(&options), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    const struct segue_region hot = {.window = segue_mapping_window(&mapping), .flags = SEGUE_REGION_HOT};
    assert_int_equal(segue_region_add(&hot), SEGUE_UNSUPPORTED);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping_has_two_views),
        cmocka_unit_test(fault_has_its_address_and_its_direction),
        cmocka_unit_test(what_windows_lacks_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
