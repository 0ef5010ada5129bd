/* x86_facts.c: what decode/x86/ says about the processor at hand, held against the processor itself where it can be
 * asked another way; and processors that are not at hand: five levels of paging, other vendors. */
#include <cpuid.h>
#include <segue/segue.h>
#include <string.h>

#include "decode/x86/canonical.h"
#include "decode/x86/flags.h"
#include "decode/x86/processor.h"
#include "decode/x86/traps.h"
#include "decode/x86/xsave.h"
#include "tests/support/test.h"

/* Canonical with five levels of paging, and not with four. */
#define ABOVE_47_BITS UINT64_C(0x0000900000000000)

static uint8_t memory[2 * PAGE];

/* ---- extended state ---- */

static void areas_end_where_the_processor_says(void **state)
{
    (void)state;
    if (!xsave_enabled())
        skip();
    assert_int_equal(xsave_end(xsave_enabled()), xsave_area_size());
    assert_int_equal(xsave_end(COMPONENTS_LEGACY), XSAVE_HEADER_END);
}

static void components_lie_behind_the_header_and_apart(void **state)
{
    (void)state;
    if (!xsave_enabled())
        skip();
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct xsave_component one, other;
        if (!(xsave_enabled() >> i & 1))
            continue;
        assert_true(xsave_find(i, &one));
        assert_true(one.offset >= XSAVE_HEADER_END);
        for (unsigned k = STATE_FIRST_EXTENDED; k < i; k++)
            if ((xsave_enabled() >> k & 1) && xsave_find(k, &other))
                assert_true(one.offset >= other.offset + other.size || other.offset >= one.offset + one.size);
    }
}

static void xsave_stores_where_the_layout_says(void **state)
{
    (void)state;
    static _Alignas(XSAVE_ALIGNMENT) uint8_t area[65536];
    if (!xsave_enabled() || xsave_area_size() > sizeof area)
        skip();
    uint32_t mxcsr = MXCSR_INITIAL, before;
    uint16_t control;
    uint64_t in_use, xmm[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    __asm__ volatile("stmxcsr %0" : "=m"(before));
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("movdqu %1, %%xmm15; xsave64 %0"
                     : "+m"(area)
                     : "m"(xmm), "a"((uint32_t)COMPONENTS_LEGACY), "d"(0)
                     : "xmm15", "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(before));
    memcpy(&control, area + XSAVE_FCW, sizeof control);
    assert_int_equal(control, FCW_INITIAL);
    assert_memory_equal(area + XSAVE_MXCSR, &mxcsr, sizeof mxcsr);
    assert_memory_equal(area + XSAVE_XMM_END - XSAVE_XMM_SIZE, xmm, sizeof xmm);
    memcpy(&in_use, area + XSAVE_XSTATE_BV, sizeof in_use);
    assert_true(in_use & COMPONENT_SSE);
}

/* ---- vendors ---- */

static void vendors_follow_one_of_two_manuals(void **state)
{
    (void)state;
    static const struct {
        const char *vendor;
        bool is_amd;
    } vendors[] = {{"AuthenticAMD", true},  {"HygonGenuine", true},  {"GenuineIntel", false},
                   {"CentaurHauls", false}, {"  Shanghai  ", false}, {"KVMKVMKVM\0\0\0", false}};
    for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++)
        assert_int_equal(processor_vendor_is_amd(vendors[i].vendor), vendors[i].is_amd);
    char text[13] = {0};
    unsigned eax, letters[3];
    __cpuid(0, eax, letters[0], letters[2], letters[1]);
    memcpy(text, letters, sizeof letters);
    assert_int_equal(processor_is_amd(), !strcmp(text, "AuthenticAMD") || !strcmp(text, "HygonGenuine"));
}

/* ---- canonical addresses ---- */

static int forget_width(void **state)
{
    (void)state;
    canonical_known = 0;
    return 0;
}

static void addresses_are_canonical_by_the_width(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        bool with_48, with_57, is_lower_with_48, is_lower_with_57;
    } rows[] = {
        {0, true, true, true, true},
        {0x00007fffffffffff, true, true, true, true},
        {0x0000800000000000, false, true, false, true},
        {0x00ffffffffffffff, false, true, false, true},
        {0x0100000000000000, false, false, false, false},
        /* Metadata of linear-address masking above an address. */
        {0x7e00000000001000, false, false, false, false},
        {0xfeffffffffffffff, false, false, false, false},
        {0xff00000000000000, false, true, false, false},
        {0xffff7fffffffffff, false, true, false, false},
        {0xffff800000000000, true, true, false, false},
        {UINT64_MAX, true, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        canonical_known = 48;
        assert_int_equal(canonical_is(rows[i].address), rows[i].with_48);
        assert_int_equal(canonical_is_lower(rows[i].address), rows[i].is_lower_with_48);
        canonical_known = 57;
        assert_int_equal(canonical_is(rows[i].address), rows[i].with_57);
        assert_int_equal(canonical_is_lower(rows[i].address), rows[i].is_lower_with_57);
    }
    canonical_known = 48;
    assert_int_equal(canonical_user_end(), 0x00007ffffffff000);
    canonical_known = 57;
    assert_int_equal(canonical_user_end(), 0x00fffffffffff000);
}

/* The width is 57 only where the processor can have five levels, and then as the system says; the answer is kept. */
static void width_is_asked_for_once(void **state)
{
    (void)state;
    unsigned a, b, c, d;
    bool may = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 16);
    unsigned wanted = may && canonical_system_has_57() ? 57 : 48;
    assert_int_equal(canonical_bits(), wanted);
    assert_int_equal(canonical_known, wanted);
    int on_the_stack;
    assert_true(canonical_is_lower((uint64_t)(uintptr_t)&on_the_stack));
}

static enum segue_status plan(const char *bytes, size_t size, const struct segue_regs *regs, uint64_t fault_at,
                              struct segue_plan *plan)
{
    struct segue_insn insn;
    const struct segue_window window = {
        .base = ABOVE_47_BITS, .size = sizeof memory, .kind = SEGUE_WINDOW_ALIAS, .alias = memory};
    const struct segue_fault fault = {.address = fault_at, .address_known = true, .trap = TRAP_PAGE_FAULT};
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_OK);
    return segue_plan(&insn, regs, NULL, &fault, &window, 1, plan);
}

static void accesses_above_47_bits_are_served_with_five_levels_alone(void **state)
{
    (void)state;
    struct segue_plan made;
    struct segue_regs regs = {.rsp = ABOVE_47_BITS + 8, .rip = 0x400000, .rflags = FIXED_FLAGS};
    /* pop rax, and the same through FS with all of the address in the register. */
    canonical_known = 48;
    assert_int_equal(plan("\x58", 1, &regs, regs.rsp, &made), SEGUE_UNSUPPORTED);
    canonical_known = 57;
    assert_int_equal(plan("\x58", 1, &regs, regs.rsp, &made), SEGUE_OK);
    /* add fs:[rbx], eax */
    regs.rbx = ABOVE_47_BITS - 0x1000;
    regs.fs_base = 0x1000;
    assert_int_equal(segue_replay_prepare(), SEGUE_OK);
    canonical_known = 48;
    assert_int_equal(plan("\x64\x01\x03", 3, &regs, ABOVE_47_BITS, &made), SEGUE_UNSUPPORTED);
    canonical_known = 57;
    assert_int_equal(plan("\x64\x01\x03", 3, &regs, ABOVE_47_BITS, &made), SEGUE_OK);
}

/* A page fault reports the address without its metadata, which no access of the list covers. */
static void accesses_with_metadata_are_refused(void **state)
{
    (void)state;
    struct segue_plan made;
    struct segue_regs regs = {.rbx = UINT64_C(0x2a) << 57 | ABOVE_47_BITS, .rip = 0x400000, .rflags = FIXED_FLAGS};
    for (unsigned bits = 48; bits <= 57; bits += 9) {
        canonical_known = (unsigned char)bits;
        /* mov eax, [rbx] */
        assert_int_equal(plan("\x8b\x03", 2, &regs, ABOVE_47_BITS, &made), SEGUE_MISMATCH);
    }
}

/* ---- flags ---- */

/* Flags after a logical instruction that began with all arithmetic flags set. */
#define FLAGS_AFTER(instruction)                                                                                       \
    ({                                                                                                                 \
        uint64_t flags_ = FLAGS_ARITHMETIC | FIXED_FLAGS, left_ = left, right_ = right;                                \
        __asm__ volatile("pushq %0; popfq; " instruction "; pushfq; popq %0"                                           \
                         : "+r"(flags_), "+r"(left_)                                                                   \
                         : "r"(right_)                                                                                 \
                         : "cc", "memory");                                                                            \
        flags_;                                                                                                        \
    })

/* The manuals leave it undefined; effects_find counts on it. */
static void logic_clears_the_adjust_flag(void **state)
{
    static const uint64_t values[] = {0, 1, 0xf, 0x10, 0xff, 0x8000000000000000, 0x0f0f0f0f0f0f0f0f, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            uint64_t left = values[i], right = values[k];
            assert_false(FLAGS_AFTER("andq %2, %1") & FLAG_ADJUST);
            assert_false(FLAGS_AFTER("orq %2, %1") & FLAG_ADJUST);
            assert_false(FLAGS_AFTER("xorq %2, %1") & FLAG_ADJUST);
            assert_false(FLAGS_AFTER("testq %2, %1") & FLAG_ADJUST);
            assert_false(FLAGS_AFTER("andb %b2, %b1") & FLAG_ADJUST);
            assert_false(FLAGS_AFTER("xorl %k2, %k1") & FLAG_ADJUST);
            assert_true(FLAGS_AFTER("notq %1") & FLAG_ADJUST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_end_where_the_processor_says),
        cmocka_unit_test(components_lie_behind_the_header_and_apart),
        cmocka_unit_test(xsave_stores_where_the_layout_says),
        cmocka_unit_test(vendors_follow_one_of_two_manuals),
        cmocka_unit_test_setup_teardown(addresses_are_canonical_by_the_width, forget_width, forget_width),
        cmocka_unit_test_setup_teardown(width_is_asked_for_once, forget_width, forget_width),
        cmocka_unit_test_setup_teardown(accesses_above_47_bits_are_served_with_five_levels_alone, forget_width,
                                        forget_width),
        cmocka_unit_test_setup_teardown(accesses_with_metadata_are_refused, forget_width, forget_width),
        cmocka_unit_test(logic_clears_the_adjust_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
