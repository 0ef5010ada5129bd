/* run_site.c: which accesses through fs: are recognised by their bytes, by bytes and registers, and which are left to
 * decoding. */
#include "tests/support/test.h"

#include <string.h>

#include "tools/run/detours/site.h"

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__})
#define NEXT(...) site_next(BYTES(__VA_ARGS__), 0, sizeof BYTES(__VA_ARGS__))
#define NONE(...) assert_int_equal(NEXT(__VA_ARGS__), sizeof BYTES(__VA_ARGS__))

static void accesses_with_a_small_displacement_are_found(void **state)
{
    (void)state;
    /* mov %fs:0x28,%rax; mov %edx,%fs:-8; cmpl $0,%fs:0x18 */
    assert_int_equal(NEXT(0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0), 0);
    assert_int_equal(NEXT(0x90, 0x64, 0x89, 0x14, 0x25, 0xf8, 0xff, 0xff, 0xff), 1);
    assert_int_equal(NEXT(0x90, 0x90, 0x64, 0x83, 0x3c, 0x25, 0x18, 0, 0, 0, 0), 2);
    /* The next one, behind a byte that is not a prefix. */
    assert_int_equal(NEXT(0x64, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0), 1);
}

static void others_are_not_found(void **state)
{
    (void)state;
    /* A large displacement; a base register; no access (LEA); cut off; another prefix. */
    NONE(0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0);
    NONE(0x64, 0x48, 0x8b, 0x04, 0x25, 0xff, 0xef, 0xff, 0xff);
    NONE(0x64, 0x48, 0x8b, 0x00, 0x90, 0x90, 0x90, 0x90, 0x90);
    NONE(0x64, 0x48, 0x8d, 0x04, 0x25, 0x28, 0, 0, 0);
    NONE(0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0);
    NONE(0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0);
}

static bool is_plain(uint64_t address, const uint8_t *bytes, size_t size)
{
    ucontext_t frame;
    memset(&frame, 0, sizeof frame);
    frame.uc_mcontext.gregs[REG_RAX] = -16;
    frame.uc_mcontext.gregs[REG_RCX] = 3;
    frame.uc_mcontext.gregs[REG_R12] = 0x1000;
    const struct segue_fault fault = {.trap = 14, .address_known = true, .address = address, .direction = SEGUE_READ};
    return site_is_plain(&frame, &fault, bytes, size);
}

#define PLAIN(address, ...) is_plain(address, BYTES(__VA_ARGS__), sizeof BYTES(__VA_ARGS__))

static void an_access_is_told_by_its_address(void **state)
{
    (void)state;
    /* mov %fs:(%rax),%rdx; mov %fs:8(%rax,%rcx,4),%rdx; mov %fs:(%r12),%rdx; mov %fs:0x28,%rdx */
    assert_true(PLAIN((uint64_t)-16, 0x64, 0x48, 0x8b, 0x10));
    assert_true(PLAIN(4, 0x64, 0x48, 0x8b, 0x54, 0x88, 0x08));
    assert_true(PLAIN(0x1000, 0x64, 0x49, 0x8b, 0x14, 0x24));
    assert_true(PLAIN(0x28, 0x64, 0x48, 0x8b, 0x14, 0x25, 0x28, 0, 0, 0));
    /* Another address: it was not this operand that faulted. */
    assert_false(PLAIN(0x28, 0x64, 0x48, 0x8b, 0x10));
    assert_false(PLAIN(0x2000, 0x64, 0x49, 0x8b, 0x14, 0x24));
}

static void what_is_no_plain_access_is_left_to_decoding(void **state)
{
    (void)state;
    /* A register; relative to RIP; another prefix first; an opcode of two bytes; cut off. */
    assert_false(PLAIN((uint64_t)-16, 0x64, 0x48, 0x8b, 0xd0));
    assert_false(PLAIN(0x28, 0x64, 0x48, 0x8b, 0x15, 0x28, 0, 0, 0));
    assert_false(PLAIN((uint64_t)-16, 0x66, 0x64, 0x8b, 0x10));
    assert_false(PLAIN((uint64_t)-16, 0x64, 0x0f, 0xb6, 0x10));
    assert_false(PLAIN(0x28, 0x64, 0x48, 0x8b, 0x14, 0x25, 0x28, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_with_a_small_displacement_are_found),
        cmocka_unit_test(others_are_not_found),
        cmocka_unit_test(an_access_is_told_by_its_address),
        cmocka_unit_test(what_is_no_plain_access_is_left_to_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
