/* patch_scan.c: what is found in code, what of it is trusted, and that outlines have the length that Zydis says.
 *
 * Lengths are compared over the C library's whole text and over random bytes, decoded from every offset. */
#include "tests/support/test.h"

#include <Zydis/Zydis.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <segue/segment.h>

#include "decode/relocate/length.h"
#include "patch/scan/constants.h"

static const struct segue_rewrite fs_to_gs = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS};

/* --- Outlines. --- */

struct comparison {
    uint64_t same, different, unknown, sure, wrongly_sure;
};

static void compare_lengths(const uint8_t *bytes, size_t size, struct comparison *comparison)
{
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t at = 0; at < size; at++) {
        ZydisDecodedInstruction instruction;
        struct outline outline;
        unsigned length = length_outline(bytes + at, size - at, &outline);
        bool is_sure = length && length_is_sure(bytes + at, &outline);
        comparison->sure += is_sure;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes + at, size - at, &instruction))) {
            comparison->wrongly_sure += is_sure;
            if (is_sure)
                print_error("no instruction: %02x %02x %02x %02x\n", bytes[at], bytes[at + 1], bytes[at + 2],
                            bytes[at + 3]);
            continue;
        }
        comparison->same += length == instruction.length;
        comparison->unknown += length == 0;
        if (length && length != instruction.length) {
            comparison->different++;
            print_error("%s: %u bytes, not %u: %02x %02x %02x %02x\n", ZydisMnemonicGetString(instruction.mnemonic),
                        instruction.length, length, bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        }
    }
}

static int take_libc_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    if (!strstr(info->dlpi_name, "libc.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
            compare_lengths((const uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, info->dlpi_phdr[i].p_memsz,
                            context);
    return 1;
}

static void outlines_have_the_decoders_length_in_libc(void **state)
{
    struct comparison comparison = {0};
    (void)state;
    assert_int_equal(dl_iterate_phdr(take_libc_text, &comparison), 1);
    assert_int_equal(comparison.different, 0);
    assert_int_equal(comparison.wrongly_sure, 0);
    assert_true(comparison.sure * 3 > comparison.same);
    assert_true(comparison.same > 500000);
    assert_true(comparison.unknown * 1000 < comparison.same);
}

static void outlines_have_the_decoders_length_for_random_bytes(void **state)
{
    enum { SIZE = 1000000 };
    struct comparison comparison = {0};
    uint8_t *bytes = malloc(SIZE);
    uint64_t random = 0x9e3779b97f4a7c15u;
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        bytes[i] = (uint8_t)(random >> 32);
    }
    compare_lengths(bytes, SIZE, &comparison);
    free(bytes);
    assert_int_equal(comparison.different, 0);
    assert_int_equal(comparison.wrongly_sure, 0);
    assert_true(comparison.sure * 3 > comparison.same);
    assert_true(comparison.unknown * 1000 < comparison.same);
}

/* Every one-byte and two-byte opcode with every ModRM behind an FS prefix: what the decoder says goes through FS may do
 * so by its outline. */
static void outlines_miss_no_access(void **state)
{
    unsigned accesses = 0;
    (void)state;
    for (unsigned number = 0; number < 2 * 256 * 256; number++) {
        uint8_t bytes[SEGUE_INSN_BYTES] = {0x64};
        struct segue_insn insn;
        struct outline outline;
        unsigned at = 1;
        if (number >> 16)
            bytes[at++] = 0x0f;
        bytes[at] = (uint8_t)(number >> 8);
        bytes[at + 1] = (uint8_t)number;
        if (segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn) != SEGUE_OK || insn.segment_prefix != 0)
            continue;
        bool goes_through = false;
        for (size_t i = 0; i < insn.memory_count; i++)
            goes_through |= insn.memory[i].segment == SEGUE_SEGMENT_FS;
        accesses += goes_through;
        if (goes_through && length_outline(bytes, sizeof bytes, &outline))
            assert_true(length_may_access(bytes, &outline));
    }
    assert_true(accesses > 20000);
}

/* --- Scanning. --- */

#define SITES 32

struct found {
    struct segue_site sites[SITES];
    size_t count;
};

static enum segue_status take(void *context, const struct segue_site *site)
{
    struct found *found = context;
    assert_true(found->count < SITES);
    found->sites[found->count++] = *site;
    return SEGUE_OK;
}

/* `functions` are pairs of start and end; the code stands at 0x1000. */
static struct found scan(struct segue_rewrite rewrite, const void *bytes, size_t size,
                         const struct segue_extent *functions, size_t count)
{
    struct found found = {0};
    struct segue_segment_code code = {bytes, size, 0x1000, functions, count, {0}};
    assert_int_equal(segue_segment_scan(&code, rewrite, take, &found), SEGUE_OK);
    return found;
}

/* All of `bytes` is one function. */
#define SCAN(bytes)                                                                                                    \
    scan(fs_to_gs, bytes, sizeof(bytes) - 1, &(struct segue_extent){0x1000, 0x1000 + sizeof(bytes) - 1}, 1)

static void expect_change(const struct segue_site *site, uint64_t address, unsigned index, unsigned old_byte,
                          unsigned new_byte)
{
    assert_int_equal(site->address, address);
    assert_int_equal(site->index, index);
    assert_int_equal(site->old_byte, old_byte);
    assert_int_equal(site->new_byte, new_byte);
    assert_true(segue_site_is_trusted(site));
}

static void sites_are_found_in_every_form(void **state)
{
    (void)state;
    struct found found = SCAN("\x90"
                              "\x64\x48\x8b\x04\x25\x28\0\0\0" /* mov rax, fs:0x28 */
                              "\x64\x89\x0a"                   /* mov fs:[rdx], ecx */
                              "\x66\x66\x66\x64\x48\x8b\x04\x25\0\0\0\0"
                              "\x67\x64\x8b\x00"     /* mov eax, fs:[eax] */
                              "\x64\xc5\xf8\x10\x00" /* vmovups xmm0, fs:[rax] */
                              "\x64\x62\xf1\x7c\x48\x10\x00"
                              "\xf0\x64\x48\x01\x07"   /* lock add fs:[rdi], rax */
                              "\x65\x64\x8b\x00"       /* the last prefix counts */
                              "\xf3\x64\xa4"           /* rep movsb, fs: */
                              "\xf3\x48\x0f\xae\xc0"   /* rdfsbase rax */
                              "\xf3\x0f\xae\xd1\xc3"); /* wrfsbase ecx */
    assert_int_equal(found.count, 11);
    expect_change(&found.sites[0], 0x1001, 0, 0x64, 0x65);
    expect_change(&found.sites[1], 0x100a, 0, 0x64, 0x65);
    expect_change(&found.sites[2], 0x100d, 3, 0x64, 0x65);
    expect_change(&found.sites[3], 0x1019, 1, 0x64, 0x65);
    expect_change(&found.sites[4], 0x101d, 0, 0x64, 0x65);
    expect_change(&found.sites[5], 0x1022, 0, 0x64, 0x65);
    expect_change(&found.sites[6], 0x1029, 1, 0x64, 0x65);
    expect_change(&found.sites[7], 0x102e, 1, 0x64, 0x65);
    expect_change(&found.sites[8], 0x1032, 1, 0x64, 0x65);
    expect_change(&found.sites[9], 0x1035, 4, 0xc0, 0xc8);
    expect_change(&found.sites[10], 0x103a, 3, 0xd1, 0xd9);
    assert_int_equal(found.sites[9].kind, SEGUE_SITE_BASE);
}

static void bytes_inside_other_instructions_are_not_visited(void **state)
{
    (void)state;
    /* A displacement, an immediate and a branch that hold whole fs: instructions; 65 wins over 64; nop, lea. */
    assert_int_equal(SCAN("\x48\x8b\x80\x64\x89\x0a\x64"
                          "\xb8\x64\x89\x0a\x90"
                          "\x48\xb8\x64\x48\x8b\x07\x64\x89\x0a\x00"
                          "\xe9\x64\x8b\x00\x00"
                          "\x64\x65\x8b\x00"
                          "\x64\x0f\x1f\x00"
                          "\x64\x48\x8d\x00"
                          "\x64\x90\xc3")
                         .count,
                     0);
}

static void other_direction_is_the_same(void **state)
{
    static const uint8_t bytes[] = "\x65\x48\x8b\x04\x25\x28\0\0\0\x64\x89\x0a\xf3\x0f\xae\xd8";
    struct segue_extent all = {0x1000, 0x1000 + sizeof bytes - 1};
    (void)state;
    struct found found =
        scan((struct segue_rewrite){SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}, bytes, sizeof bytes - 1, &all, 1);
    assert_int_equal(found.count, 2);
    expect_change(&found.sites[0], 0x1000, 0, 0x65, 0x64);
    expect_change(&found.sites[1], 0x100c, 3, 0xd8, 0xd0);
}

/* data-in-text: outside functions only the strict forms are trusted; the rest is reported. */
static void data_in_text_is_told_and_not_trusted(void **state)
{
    static const uint8_t bytes[] = "\x64\x89\x0a"                    /* 1000: data, or mov fs:[rdx], ecx */
                                   "\x64\x48\x2b\x04\x25\x28\0\0\0"  /* 1003: sub rax, fs:0x28 */
                                   "\x64\x89\x0a\xc3"                /* 100c: a function */
                                   "\x64\x48\x8b\x04\x25\x29\0\0\0"; /* 1010: not quite a form */
    struct segue_extent function = {0x100c, 0x1010};
    (void)state;
    struct found found = scan(fs_to_gs, bytes, sizeof bytes - 1, &function, 1);
    assert_int_equal(found.count, 4);
    assert_int_equal(found.sites[0].trust, SEGUE_TRUST_OUTSIDE);
    assert_int_equal(found.sites[1].trust, SEGUE_TRUST_FORM);
    assert_int_equal(found.sites[2].trust, SEGUE_TRUST_FUNCTION);
    assert_int_equal(found.sites[3].trust, SEGUE_TRUST_OUTSIDE);
    assert_false(segue_site_is_trusted(&found.sites[3]));
}

static void behind_data_in_a_function_nothing_but_forms_is_trusted(void **state)
{
    (void)state;
    /* 06 is no instruction in 64-bit mode; nor is D6 F0, which an outline must not take for one. */
    struct found found = SCAN("\x64\x89\x0a\x06\x64\x89\x0a\x64\x48\x33\x04\x25\x28\0\0\0\xc3");
    assert_int_equal(found.count, 3);
    assert_int_equal(found.sites[0].trust, SEGUE_TRUST_FUNCTION);
    assert_int_equal(found.sites[1].trust, SEGUE_TRUST_AFTER_DATA);
    assert_int_equal(found.sites[2].trust, SEGUE_TRUST_FORM);
    /* An instruction by its outline alone: LEA of a register. */
    found = SCAN("\x48\x8d\xc0\x64\x89\x0a\xc3");
    assert_int_equal(found.count, 1);
    assert_int_equal(found.sites[0].trust, SEGUE_TRUST_AFTER_DATA);
}

static void loads_and_system_calls_are_told(void **state)
{
    (void)state;
    struct found found = SCAN("\x8e\xe0"                               /* mov fs, eax */
                              "\x0f\xa1"                               /* pop fs */
                              "\x8e\xe8"                               /* mov gs, eax */
                              "\xbf\x02\x10\0\0\xb8\x9e\0\0\0\x0f\x05" /* arch_prctl(ARCH_SET_FS) */
                              "\x31\xff\x48\xc7\xc0\x38\0\0\0\x0f\x05" /* clone */
                              "\xff\xd0\x0f\x05");
    assert_int_equal(found.count, 5);
    assert_int_equal(found.sites[0].kind, SEGUE_SITE_LOAD);
    assert_int_equal(found.sites[1].kind, SEGUE_SITE_LOAD);
    assert_int_equal(found.sites[2].kind, SEGUE_SITE_SYSTEM_CALL);
    assert_int_equal(found.sites[2].call_number, 158);
    assert_int_equal(found.sites[2].call_argument, 0x1002);
    assert_int_equal(found.sites[3].call_number, 56);
    assert_int_equal(found.sites[3].call_argument, 0);
    /* A call may have changed them. */
    assert_int_equal(found.sites[4].call_number, -1);
    for (size_t i = 0; i < found.count; i++)
        assert_int_equal(found.sites[i].old_byte, found.sites[i].new_byte);
}

/* mov eax, [r14+0x64]; mov rax, fs:0x28: in a function, and where nothing says where instructions begin. */
static void form_behind_a_byte_64_is_listed_where_it_begins(void **state)
{
    static const char bytes[] = "\x45\x8b\x46\x64\x64\x48\x8b\x04\x25\x28\0\0\0\xc3";
    struct segue_extent all = {0x1000, 0x1000 + sizeof bytes - 1};
    (void)state;
    for (size_t functions = 0; functions < 2; functions++) {
        struct found found = scan(fs_to_gs, bytes, sizeof bytes - 1, &all, functions);
        assert_int_equal(found.count, 1);
        expect_change(&found.sites[0], 0x1004, 0, 0x64, 0x65);
        assert_int_equal(found.sites[0].length, 9);
    }
    /* Where it is known to be a prefix, it is one. */
    struct found found = SCAN("\x64\x64\x48\x8b\x04\x25\x28\0\0\0\xc3");
    assert_int_equal(found.count, 1);
    expect_change(&found.sites[0], 0x1000, 1, 0x64, 0x65);
    assert_int_equal(found.sites[0].length, 10);
}

static enum segue_status count_site(void *context, const struct segue_site *site)
{
    *(uint64_t *)context += site->call_number == 39;
    return SEGUE_OK;
}

/* With each call looked at from the function's start on this would take hours. */
static void many_system_calls_in_one_function_are_looked_at_once_each(void **state)
{
    static const uint8_t call[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x90};
    size_t size = 1u << 24;
    uint8_t *bytes = malloc(size);
    struct segue_extent all = {0x1000, 0x1000 + size};
    uint64_t told = 0;
    (void)state;
    assert_non_null(bytes);
    for (size_t at = 0; at < size; at += sizeof call)
        memcpy(bytes + at, call, sizeof call);
    struct segue_segment_code code = {bytes, size, 0x1000, &all, 1, {0}};
    assert_int_equal(segue_segment_scan(&code, fs_to_gs, count_site, &told), SEGUE_OK);
    assert_int_equal(told, size / sizeof call);
    free(bytes);
}

/* Cut off anywhere, with functions that reach beyond: nothing is read that is not there. Sanitizers see to that. */
static void code_that_ends_anywhere_is_scanned(void **state)
{
    static const char whole[] =
        "\x64\x48\x8b\x04\x25\x28\0\0\0\xf3\x48\x0f\xae\xc0\x64\x62\xf1\x7c\x48\x10\x00\x0f\x05";
    (void)state;
    for (size_t size = 0; size < sizeof whole; size++) {
        char *bytes = malloc(size ? size : 1);
        memcpy(bytes, whole, size);
        struct segue_extent functions[] = {{0xff0, 0x1004}, {0x1000, 0x2000}, {0x1003, 0x1003}, {0x1500, 0x1600}};
        struct found found = scan(fs_to_gs, bytes, size, functions, 4);
        assert_true(found.count <= 6);
        free(bytes);
    }
}

static void nonsense_is_refused(void **state)
{
    struct found found = {0};
    struct segue_segment_code code = {(const uint8_t *)"\x90", 1, 0, NULL, 0, {0}};
    (void)state;
    assert_int_equal(segue_segment_scan(NULL, fs_to_gs, take, &found), SEGUE_INVALID);
    assert_int_equal(segue_segment_scan(&code, fs_to_gs, NULL, &found), SEGUE_INVALID);
    assert_int_equal(
        segue_segment_scan(&code, (struct segue_rewrite){SEGUE_SEGMENT_DS, SEGUE_SEGMENT_GS}, take, &found),
        SEGUE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlines_have_the_decoders_length_in_libc),
        cmocka_unit_test(outlines_have_the_decoders_length_for_random_bytes),
        cmocka_unit_test(outlines_miss_no_access),
        cmocka_unit_test(sites_are_found_in_every_form),
        cmocka_unit_test(bytes_inside_other_instructions_are_not_visited),
        cmocka_unit_test(other_direction_is_the_same),
        cmocka_unit_test(data_in_text_is_told_and_not_trusted),
        cmocka_unit_test(behind_data_in_a_function_nothing_but_forms_is_trusted),
        cmocka_unit_test(loads_and_system_calls_are_told),
        cmocka_unit_test(form_behind_a_byte_64_is_listed_where_it_begins),
        cmocka_unit_test(many_system_calls_in_one_function_are_looked_at_once_each),
        cmocka_unit_test(code_that_ends_anywhere_is_scanned),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
