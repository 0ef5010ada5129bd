/* windows.c: windows that are made by the functions for it, and what they reach; what a mapping protects. */
#include <segue/segue.h>
#include <string.h>

#include "tests/support/test.h"

#define PAGE 4096u

static enum segue_status read_device(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    memset(bytes, (int)address & 0xff, size);
    return SEGUE_OK;
}

static void window_reaches_its_own_bytes_and_no_others(void **state)
{
    char memory[64], other[64];
    uint64_t base = (uintptr_t)memory;
    struct segue_window alias = segue_window_alias(memory, sizeof memory, other);
    struct segue_window exposed = segue_window_exposed(memory, sizeof memory);
    struct segue_window forced = segue_window_forced(memory, sizeof memory);
    struct segue_window device = segue_window_device(memory, sizeof memory, read_device, NULL, NULL);
    (void)state;
    assert_ptr_equal(segue_window_at(&alias, base + 3, 61), other + 3);
    assert_ptr_equal(segue_window_at(&exposed, base + 63, 1), memory + 63);
    assert_null(segue_window_at(&alias, base + 3, 62));
    assert_null(segue_window_at(&alias, base - 1, 1));
    assert_null(segue_window_at(&alias, base + 64, 0));
    assert_null(segue_window_at(&alias, base + 1, SIZE_MAX));
    assert_null(segue_window_at(&forced, base, 1));
    assert_null(segue_window_at(&device, base, 1));
    assert_null(segue_window_at(NULL, base, 1));
}

/* Past the protection, and nothing outside of the window. */
static void copy_through(const struct segue_window *window, const void *view)
{
    static const uint64_t word = UINT64_C(0x1122334455667788);
    static char bytes[3 * PAGE], back[3 * PAGE];
    const uint64_t base = window->base;
    uint64_t got = 0;
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(segue_window_write(window, base + PAGE - 4, &word, sizeof word), SEGUE_OK);
    assert_memory_equal((const char *)view + PAGE - 4, &word, sizeof word);
    assert_int_equal(segue_window_read(window, base + PAGE - 4, &got, sizeof got), SEGUE_OK);
    assert_int_equal(got, word);
    assert_int_equal(segue_window_write(window, base + 100, bytes, sizeof bytes), SEGUE_OK);
    assert_int_equal(segue_window_read(window, base + 100, back, sizeof back), SEGUE_OK);
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_int_equal(segue_window_read(window, base + window->size - 7, &got, sizeof got), SEGUE_INVALID);
    assert_int_equal(segue_window_write(window, base - 1, &word, 1), SEGUE_INVALID);
    assert_int_equal(segue_window_read(window, base, NULL, 1), SEGUE_INVALID);
    assert_int_equal(segue_window_read(window, base, NULL, 0), SEGUE_OK);
}

static void bytes_of_windows_are_copied(void **state)
{
    struct segue_mapping mapping;
    uint64_t word = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, 4 * PAGE, &mapping), SEGUE_OK);
    struct segue_window alias = segue_mapping_window(&mapping),
                        exposed = segue_window_exposed(mapping.memory, mapping.size),
                        device = segue_window_device(mapping.memory, mapping.size, read_device, NULL, NULL);
    copy_through(&exposed, mapping.alias);
    assert_int_equal(segue_mapping_protect(&mapping, 0, mapping.size, 0), SEGUE_OK);
    copy_through(&alias, mapping.alias);
    assert_int_equal(segue_window_read(&exposed, exposed.base, &word, sizeof word), SEGUE_FAULT);
    assert_int_equal(segue_window_write(&exposed, exposed.base, &word, sizeof word), SEGUE_FAULT);
    assert_int_equal(segue_window_read(&device, device.base, &word, sizeof word), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_window_write(&device, device.base, &word, sizeof word), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_window_read(NULL, alias.base, &word, sizeof word), SEGUE_INVALID);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static enum segue_verdict load_before(void *loaded, const struct segue_event *event)
{
    const uint32_t *at = segue_event_at(event);
    if (at)
        *(uint32_t *)loaded = *at;
    return SEGUE_STEP;
}

static void policy_finds_the_bytes_before_the_access(void **state)
{
    struct segue_mapping mapping;
    uint32_t loaded = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, 2 * PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {.window = segue_mapping_window(&mapping), .policy = load_before, .context = &loaded};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    volatile uint32_t *words = mapping.memory;
    words[1] = 7;
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, SEGUE_READ), SEGUE_OK);
    assert_int_equal(words[1], 7);
    assert_int_equal(loaded, 0);
    words[1] = 8;
    assert_int_equal(loaded, 7);
    /* The second page is open. */
    words[PAGE / 4] = 9;
    assert_int_equal(loaded, 7);
    segue_region_remove(mapping.memory);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void protection_of_what_is_not_the_mappings_is_refused(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, 2 * PAGE, &mapping), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(NULL, 0, PAGE, 0), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, PAGE, 2 * PAGE, 0), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, 3 * PAGE, 0, 0), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, 1, PAGE, 0), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 8), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, SEGUE_WRITE | SEGUE_FETCH), SEGUE_INVALID);
    assert_int_equal(segue_mapping_protect(&mapping, PAGE, PAGE, SEGUE_READ | SEGUE_FETCH), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&mapping, 2 * PAGE, 0, 0), SEGUE_OK);
    segue_mapping_destroy(&mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_reaches_its_own_bytes_and_no_others),
        cmocka_unit_test(bytes_of_windows_are_copied),
        cmocka_unit_test(policy_finds_the_bytes_before_the_access),
        cmocka_unit_test(protection_of_what_is_not_the_mappings_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
