/* reserved.c: what the ABI rests on (docs/abi.md): a reserved word that is not zero is refused, and named; the library
 * stores zero in those that it fills; and a call that is refused gives a reason, which a fault does not disturb. */
#include <segue/linux.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/test.h"

#define PAGE 4096u
#define COUNT(array) (sizeof(array) / sizeof *(array))

static enum segue_status add_region(const void *region)
{
    return segue_region_add(region);
}

static enum segue_status update_region(const void *region)
{
    return segue_region_update(region);
}

static enum segue_status configure_hot(const void *options)
{
    return segue_hot_configure(options);
}

static enum segue_status install(const void *options)
{
    return segue_install(options);
}

static enum segue_status install_suspension(const void *options)
{
    return segue_suspend_install(options);
}

static enum segue_status enable_segment(const void *options)
{
    return segue_segment_enable(options);
}

static enum segue_status rewrite_code(const void *code)
{
    return segue_segment_rewrite(code, NULL, NULL);
}

static enum segue_status ignore_site(void *context, const struct segue_site *site)
{
    (void)context;
    (void)site;
    return SEGUE_OK;
}

static enum segue_status scan_code(const void *code)
{
    return segue_segment_scan(code, (struct segue_rewrite){SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, ignore_site, NULL);
}

static void nothing(void)
{
}

static enum segue_status begin_context(const void *options)
{
    static _Alignas(16) char stack[16384];
    static struct segue_context context;
    return segue_context_init(&context, NULL, stack, sizeof stack, nothing, NULL, 0, options);
}

static enum segue_status make_guest(const void *options)
{
    struct segue_guest guest;
    return segue_guest_new(&guest, options);
}

static enum segue_status clone_child(const void *request)
{
    uint64_t frame[256] = {0};
    return segue_clone(frame, request) == -22 ? SEGUE_INVALID : SEGUE_OK;
}

/* A struct that is valid except for its reserved words, which lie in [first, end). */
struct taker {
    const char *name;
    enum segue_status (*give)(const void *structure);
    const void *right;
    size_t size, first, end;
};
#define TAKER(call, structure, member, ...)                                                                            \
    {                                                                                                                  \
#structure "." #member, call, &(const struct structure)__VA_ARGS__, sizeof(struct structure),                  \
            offsetof(struct structure, member),                                                                        \
            offsetof(struct structure, member) + sizeof(((struct structure *)0)->member)                               \
    }

static const struct taker takers[] = {
    TAKER(add_region, segue_region, reserved, {.window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}}),
    TAKER(add_region, segue_region, window.reserved,
          {.window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}}),
    TAKER(update_region, segue_region, reserved,
          {.window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}}),
    TAKER(configure_hot, segue_hot_options, reserved, {.flags = 0}),
    TAKER(install, segue_options, reserved, {.flags = 0}),
    TAKER(install, segue_options, reserved32, {.flags = 0}),
    TAKER(install_suspension, segue_suspend_options, reserved, {.signal = 0}),
    TAKER(enable_segment, segue_segment_options, reserved, {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}}),
    TAKER(rewrite_code, segue_segment_code, reserved, {.bytes = (const uint8_t *)"\x90", .size = 1}),
    TAKER(begin_context, segue_context_options, reserved, {.flags = 0}),
    TAKER(make_guest, segue_guest_options, reserved, {.features = 0}),
    TAKER(make_guest, segue_guest_options, reserved32, {.features = 0}),
};

static void check_taker(const struct taker *taker, bool gives_reason)
{
    unsigned char given[512];
    for (size_t at = taker->first; at < taker->end; at++) {
        memcpy(given, taker->right, taker->size);
        given[at] = 1;
        enum segue_status status = taker->give(given);
        if (status != SEGUE_INVALID || (gives_reason && !strstr(segue_reason(), "reserved is not zero")))
            fail_msg("%s, byte %zu: %s (%s)", taker->name, at - taker->first, segue_status_name(status),
                     segue_reason());
    }
}

static void reserved_words_that_are_not_zero_are_refused_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(takers); i++)
        check_taker(&takers[i], true);
}

/* A pure function, and one that returns an error number. */
static const struct taker without[] = {
    TAKER(scan_code, segue_segment_code, reserved, {.bytes = (const uint8_t *)"\x90", .size = 1}),
    TAKER(clone_child, segue_clone, reserved, {.exit_signal = 17}),
};

static void reserved_words_are_refused_where_no_reason_is_given(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(without); i++)
        check_taker(&without[i], false);
}

static bool is_zero(const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        if (byte[i])
            return false;
    return true;
}

#define FILLED_WITH_ZERO(structure) assert_true(is_zero((structure).reserved, sizeof(structure).reserved))

static enum segue_status look_at_site(void *is_clean, const struct segue_site *site)
{
    *(bool *)is_clean = is_zero(site->reserved, sizeof site->reserved);
    return SEGUE_OK;
}

static enum segue_verdict look_at_event(void *context, const struct segue_event *event)
{
    bool *is_clean = context;
    *is_clean = is_zero(event->reserved, sizeof event->reserved) &&
                is_zero(&event->reserved32, sizeof event->reserved32) &&
                is_zero(event->region->reserved, sizeof event->region->reserved) &&
                is_zero(event->region->window.reserved, sizeof event->region->window.reserved);
    return SEGUE_STEP;
}

static void library_stores_zero_in_the_reserved_words_that_it_fills(void **state)
{
    struct segue_mapping mapping;
    struct segue_region region, found;
    struct segue_counters counters;
    struct segue_stack stack;
    struct segue_guest guest;
    bool is_clean = false;
    (void)state;
    memset(&mapping, 0xff, sizeof mapping);
    memset(&found, 0xff, sizeof found);
    memset(&counters, 0xff, sizeof counters);
    memset(&stack, 0xff, sizeof stack);
    memset(&guest, 0xff, sizeof guest);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    FILLED_WITH_ZERO(mapping);
    region = (struct segue_region){.window = {.base = (uintptr_t)mapping.memory, .size = PAGE, .alias = mapping.alias},
                                   .policy = look_at_event,
                                   .context = &is_clean};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_region_find(mapping.memory, &found), SEGUE_OK);
    FILLED_WITH_ZERO(found);
    FILLED_WITH_ZERO(found.window);
    mprotect(mapping.memory, PAGE, PROT_NONE);
    assert_int_equal(*(volatile int *)mapping.memory, 0);
    assert_true(is_clean);
    assert_int_equal(segue_counters_read(&counters), SEGUE_OK);
    FILLED_WITH_ZERO(counters);
    assert_int_equal(segue_stack_new(PAGE, &stack), SEGUE_OK);
    FILLED_WITH_ZERO(stack);
    segue_stack_free(&stack);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_OK);
    FILLED_WITH_ZERO(guest);
    segue_guest_free(&guest);
    struct segue_segment_code code = {.bytes = (const uint8_t *)"\x64\x48\x8b\x07", .size = 4};
    is_clean = false;
    assert_int_equal(
        segue_segment_scan(&code, (struct segue_rewrite){SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, look_at_site, &is_clean),
        SEGUE_OK);
    assert_true(is_clean);
    segue_region_remove(mapping.memory);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void each_feature_is_there_or_has_a_reason(void **state)
{
    unsigned known = 0;
    (void)state;
    for (int number = 0; number <= 64; number++) {
        enum segue_status status = segue_feature_check((enum segue_feature)number);
        known += status != SEGUE_INVALID;
        assert_true(status == SEGUE_OK || *segue_reason());
        assert_true(status == SEGUE_OK || status == SEGUE_UNSUPPORTED || status == SEGUE_INVALID);
    }
    assert_int_equal(known, 13);
}

static void reason_names_the_member_that_is_wrong(void **state)
{
    struct segue_region region = {.window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS}};
    (void)state;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.window.alias is NULL");
    region.window.base++;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.window.base is not a multiple of the page size");
    region.flags = 1u << 31;
    region.window.base--;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.flags has a bit that enum segue_region_flags does not define");
}

static void reason_of_an_alias_of_code_names_the_argument(void **state)
{
    enum { MOST = 64 };
    static char code[MOST], view[MOST];
    uint64_t base = (uint64_t)(uintptr_t)code, elsewhere = (uint64_t)(uintptr_t)view;
    (void)state;
    assert_int_equal(segue_patch_alias_add(base, 0, view), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "alias is NULL, or the range is empty or wraps around");
    assert_int_equal(segue_patch_alias_add(base, UINT64_MAX, view), SEGUE_INVALID);
    assert_int_equal(segue_patch_alias_add(base, sizeof code, NULL), SEGUE_INVALID);
    assert_int_equal(segue_patch_alias_add(base, sizeof code, view), SEGUE_OK);
    assert_int_equal(segue_patch_alias_add(base + sizeof code - 1, 1, view), SEGUE_OVERLAP);
    assert_string_equal(segue_reason(), "another alias has some of these bytes");
    for (unsigned i = 1; i < MOST; i++)
        assert_int_equal(segue_patch_alias_add(elsewhere + i, 1, view), SEGUE_OK);
    assert_int_equal(segue_patch_alias_add(elsewhere, 1, view), SEGUE_NO_MEMORY);
    assert_string_equal(segue_reason(), "there are as many aliases as there may be");
    for (unsigned i = 1; i < MOST; i++)
        assert_int_equal(segue_patch_alias_remove(elsewhere + i), SEGUE_OK);
    assert_int_equal(segue_patch_alias_remove(base), SEGUE_OK);
    assert_int_equal(segue_patch_alias_remove(base), SEGUE_NOT_FOUND);
}

static char reason_in_policy[200];

static enum segue_verdict fail_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    /* Refused: inside a fault. */
    struct segue_region region = {.window = {.base = PAGE, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}};
    if (segue_region_add(&region) == SEGUE_BUSY)
        strncpy(reason_in_policy, segue_reason(), sizeof reason_in_policy - 1);
    return SEGUE_STEP;
}

static void reason_survives_a_fault_whose_policy_has_one_of_its_own(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {.window = {.base = (uintptr_t)mapping.memory, .size = PAGE, .alias = mapping.alias},
                                  .policy = fail_in_policy};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(mapping.memory, PAGE, PROT_NONE);
    assert_int_equal(segue_install(NULL), SEGUE_EXISTS);
    assert_string_equal(segue_reason(), "the handler is installed");
    assert_int_equal(*(volatile int *)mapping.memory, 0);
    assert_string_equal(reason_in_policy, "the caller is inside a fault");
    assert_string_equal(segue_reason(), "the handler is installed");
    segue_region_remove(mapping.memory);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void reasons_tell_what_is_installed(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_install_check(NULL), SEGUE_NOT_FOUND);
    assert_string_equal(segue_reason(), "the handler is not installed");
    assert_int_equal(segue_suspend_check(NULL), SEGUE_NOT_FOUND);
    assert_string_equal(segue_reason(), "suspension is not installed");
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
    assert_string_equal(segue_reason(), "the handler is not installed");
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_FOUND);
    assert_string_equal(segue_reason(), "suspension is not installed");
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_string_equal(segue_reason(), "suspension is installed");
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {.window = segue_mapping_window(&mapping)};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_BUSY);
    assert_string_equal(segue_reason(), "there are regions");
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    struct sigaction own = {.sa_handler = SIG_DFL}, before;
    assert_int_equal(sigaction(SIGSEGV, &own, &before), 0);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_LAST);
    assert_string_equal(segue_reason(), "another handler was installed over the library's");
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
}

static enum segue_status status_in_handler;
static char reason_in_handler[200];

static void install_in_handler(int number)
{
    (void)number;
    status_in_handler = segue_install(NULL);
    strncpy(reason_in_handler, segue_reason(), sizeof reason_in_handler - 1);
}

static void installing_on_an_alternate_stack_names_the_stack(void **state)
{
    static char memory[65536];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    const struct sigaction action = {.sa_handler = install_in_handler, .sa_flags = SA_ONSTACK};
    stack_t before;
    (void)state;
    assert_int_equal(sigaltstack(&stack, &before), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(sigaltstack(&before, NULL), 0);
    assert_int_equal(status_in_handler, SEGUE_BUSY);
    assert_string_equal(reason_in_handler, "the caller is on an alternate stack, which cannot be exchanged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_words_that_are_not_zero_are_refused_and_named),
        cmocka_unit_test(reserved_words_are_refused_where_no_reason_is_given),
        cmocka_unit_test(library_stores_zero_in_the_reserved_words_that_it_fills),
        cmocka_unit_test(each_feature_is_there_or_has_a_reason),
        cmocka_unit_test(reason_names_the_member_that_is_wrong),
        cmocka_unit_test(reason_of_an_alias_of_code_names_the_argument),
        cmocka_unit_test(reason_survives_a_fault_whose_policy_has_one_of_its_own),
        cmocka_unit_test(reasons_tell_what_is_installed),
        cmocka_unit_test(installing_on_an_alternate_stack_names_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
