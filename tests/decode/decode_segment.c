/* decode_segment.c: which prefix names the segment, and where it stands. The processor is the oracle for the order of
 * several: the same load is run with every order of prefixes, FS and GS leading to different words. */
#include "tests/support/test.h"

#include <asm/prctl.h>
#include <segue/decode.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void expect(const char *bytes, size_t size, unsigned index, unsigned segment)
{
    struct segue_insn insn;
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_OK);
    assert_int_equal(insn.length, size);
    assert_int_equal(insn.segment_prefix, index);
    if (insn.memory_count)
        assert_int_equal(insn.memory[0].segment, segment);
}

#define EXPECT(bytes, index, segment) expect(bytes, sizeof(bytes) - 1, index, segment)

static void segment_prefix_is_found_wherever_it_stands(void **state)
{
    (void)state;
    EXPECT("\x48\x8b\x07", SEGUE_NO_PREFIX, SEGUE_SEGMENT_DS);
    EXPECT("\x64\x48\x8b\x04\x25\x28\0\0\0", 0, SEGUE_SEGMENT_FS);
    EXPECT("\x66\x66\x66\x64\x48\x8b\x04\x25\0\0\0\0", 3, SEGUE_SEGMENT_FS);
    EXPECT("\x67\x64\x8b\x00", 1, SEGUE_SEGMENT_FS);
    EXPECT("\x64\x67\x8b\x00", 0, SEGUE_SEGMENT_FS);
    EXPECT("\xf0\x64\x48\x01\x07", 1, SEGUE_SEGMENT_FS);
    EXPECT("\xf3\x64\xa4", 1, SEGUE_SEGMENT_FS);
    /* VEX and EVEX behind it; a displacement that looks like it. */
    EXPECT("\x64\xc5\xf8\x10\x00", 0, SEGUE_SEGMENT_FS);
    EXPECT("\x64\x62\xf1\x7c\x48\x10\x00", 0, SEGUE_SEGMENT_FS);
    EXPECT("\x48\x8b\x80\x64\x64\x65\x65", SEGUE_NO_PREFIX, SEGUE_SEGMENT_DS);
}

static void last_of_fs_and_gs_counts_and_null_prefixes_do_not(void **state)
{
    (void)state;
    EXPECT("\x64\x65\x8b\x00", 1, SEGUE_SEGMENT_GS);
    EXPECT("\x65\x64\x8b\x00", 1, SEGUE_SEGMENT_FS);
    EXPECT("\x64\x64\x8b\x00", 1, SEGUE_SEGMENT_FS);
    EXPECT("\x64\x2e\x8b\x00", 0, SEGUE_SEGMENT_FS);
    EXPECT("\x64\x3e\x8b\x00", 0, SEGUE_SEGMENT_FS);
    EXPECT("\x26\x36\x65\x2e\x8b\x00", 2, SEGUE_SEGMENT_GS);
    EXPECT("\x2e\x8b\x00", SEGUE_NO_PREFIX, SEGUE_SEGMENT_DS);
}

static void in_32_bit_mode_every_segment_prefix_counts(void **state)
{
    struct segue_insn insn;
    (void)state;
    assert_int_equal(segue_decode(SEGUE_MODE_32, "\x64\x2e\x8b\x00", 4, &insn), SEGUE_OK);
    assert_int_equal(insn.segment_prefix, 1);
    assert_int_equal(insn.memory[0].segment, SEGUE_SEGMENT_CS);
}

/* Three prefixes in every combination before `mov eax, [rdi]`. */
static void processor_agrees_for_every_order_of_three_prefixes(void **state)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67};
    static const uint8_t load[] = {0x8b, 0x07, 0xc3};
    static const uint32_t flat_word = 0xd5d5d5d5, fs_word = 0xf5f5f5f5, gs_word = 0x65656565;
    uint32_t words[3] = {flat_word, fs_word, gs_word};
    uint64_t fs_base, gs_before;
    uint32_t *low = mmap((void *)0x20000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_true(low != MAP_FAILED && code != MAP_FAILED);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
    syscall(SYS_arch_prctl, ARCH_GET_GS, &gs_before);
    /* The operand is [rdi]: rdi leads from FS's base to a word of TLS, from GS's base to another, flat to the third. */
    static __thread uint32_t in_tls;
    in_tls = fs_word;
    uint64_t offset = (uint64_t)(uintptr_t)&in_tls - fs_base;
    unsigned checked = 0;
    for (unsigned number = 0; number < 8 * 8 * 8; number++) {
        uint8_t bytes[6] = {prefixes[number & 7], prefixes[number >> 3 & 7], prefixes[number >> 6]};
        struct segue_insn insn;
        memcpy(bytes + 3, load, sizeof load);
        assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_OK);
        /* With 67h the offset would lose its upper half. */
        if (insn.address_size != 8)
            continue;
        bool by_fs = insn.segment_prefix != SEGUE_NO_PREFIX && bytes[insn.segment_prefix] == 0x64;
        bool by_gs = insn.segment_prefix != SEGUE_NO_PREFIX && bytes[insn.segment_prefix] == 0x65;
        assert_int_equal(insn.memory[0].segment, by_fs   ? SEGUE_SEGMENT_FS
                                                 : by_gs ? SEGUE_SEGMENT_GS
                                                         : SEGUE_SEGMENT_DS);
        memcpy(low, words, sizeof words);
        memcpy(code, bytes, sizeof bytes);
        /* Flat addresses cannot equal the offset in FS, so those two are run apart. */
        uint64_t rdi = by_fs || by_gs ? offset : (uint64_t)(uintptr_t)&low[0];
        syscall(SYS_arch_prctl, ARCH_SET_GS, (uint64_t)(uintptr_t)&low[2] - offset);
        uint32_t got = ((uint32_t(*)(uint64_t))(uintptr_t)code)(rdi);
        syscall(SYS_arch_prctl, ARCH_SET_GS, gs_before);
        uint32_t mask = insn.memory[0].size == 2 ? 0xffff : 0xffffffff;
        assert_int_equal(got & mask, (by_fs ? fs_word : by_gs ? gs_word : flat_word) & mask);
        checked++;
    }
    assert_int_equal(checked, 7 * 7 * 7);
    munmap(low, 4096);
    munmap(code, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_prefix_is_found_wherever_it_stands),
        cmocka_unit_test(last_of_fs_and_gs_counts_and_null_prefixes_do_not),
        cmocka_unit_test(in_32_bit_mode_every_segment_prefix_counts),
        cmocka_unit_test(processor_agrees_for_every_order_of_three_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
