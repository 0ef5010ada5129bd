/* decode.c: decoding, the contract of segue_accesses, classes, the cache, and the decoder's defects. The lists
 * themselves are decode_lists.c's affair. */
#include "decode_words.h"

#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <segue/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/mnemonics/mnemonics.h"
#include "decode/operands/registers.h"
#include "decode/operands/rules.h"
#include "decode/x86/processor.h"
#include "decode/x86/xsave.h"
#include "decode/zydis/zydis.h"
#include "tests/support/memory/guarded.h"

/* ---- the call's own contract ------------------------------------------------------------------------------------ */

static void accesses_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access accesses[2] = {{.address = 0}, {.address = 0x77}};
    size_t count = 0;
    set_all(&regs, "rsi=1000 rdi=2000");
    decode_hex(SEGUE_MODE_64, "a4", &insn);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, 1, &count), SEGUE_TOO_SMALL);
    assert_int_equal(count, 2);
    assert_int_equal(accesses[0].address, 0x1000);
    assert_int_equal(accesses[1].address, 0x77);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, NULL, 0, &count), SEGUE_TOO_SMALL);
    assert_int_equal(count, 2);
}

static void accesses_tell_their_operand(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access accesses[2];
    size_t count;
    set_all(&regs, "rbx=1000");
    decode_hex(SEGUE_MODE_64, "ff 33", &insn);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, 2, &count), SEGUE_OK);
    assert_int_equal(accesses[0].operand, 0);
    assert_int_equal(accesses[1].operand, 1);
    assert_int_equal(insn.memory[1].addressing, SEGUE_ADDRESSING_STACK);
}

static void null_pointers_are_invalid(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access access;
    size_t count;
    set_all(&regs, "");
    decode_hex(SEGUE_MODE_64, "8b 03", &insn);
    assert_int_equal(segue_decode(SEGUE_MODE_64, NULL, 1, &insn), SEGUE_INVALID);
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x90", 1, NULL), SEGUE_INVALID);
    assert_int_equal(segue_decode((enum segue_mode)2, "\x90", 1, &insn), SEGUE_INVALID);
    assert_int_equal(segue_accesses(NULL, &regs, NULL, &access, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, NULL, NULL, &access, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, NULL, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, &access, 1, NULL), SEGUE_INVALID);
}

/* No state, one in the compacted format, one without room, one that lacks the component. */
static void masks_without_their_state_are_refused(void **state)
{
    (void)state;
    need_avx512();
    struct segue_insn insn;
    struct segue_regs regs;
    set_all(&regs, "rbx=1000 k1=1");
    decode_hex(SEGUE_MODE_64, "62 f1 7c 49 10 03", &insn);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &xstate), SEGUE_UNLISTED_NONE);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, NULL), SEGUE_UNLISTED_XSTATE);
    struct segue_xstate none = {.area = NULL};
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &none), SEGUE_UNLISTED_XSTATE);
    struct segue_xstate without = xstate;
    without.features = 7;
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &without), SEGUE_UNLISTED_XSTATE);
    without = xstate;
    without.size = 800;
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &without), SEGUE_UNLISTED_XSTATE);
    store(520, UINT64_C(1) << 63, 8);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &xstate), SEGUE_UNLISTED_XSTATE);
}

/* A frame without XSAVE has the legacy region alone. */
static void legacy_state_is_enough_for_sse(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    char text[256];
    set_all(&regs, "rdi=2000 v1.1.2=80 bv=0");
    xstate.size = 512;
    xstate.features = 3;
    decode_hex(SEGUE_MODE_64, "66 0f f7 c1", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, "w16@2000/1m?p w1@2002:2m");
}

static void reasons_have_texts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEGUE_UNLISTED_COUNT; i++) {
        const char *text = segue_unlisted_text((enum segue_unlisted)i);
        assert_non_null(text);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(text, segue_unlisted_text((enum segue_unlisted)j));
    }
    assert_non_null(segue_unlisted_text((enum segue_unlisted)1000));
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* Every prefix of every instruction of this file, at the very end of readable memory. */
static void shortened_instructions_are_truncated(void **state)
{
    (void)state;
    static const char *const whole[] = {"8b 03",
                                        "48 8b 84 8b 10 00 00 00",
                                        "62 f1 7c 49 10 43 01",
                                        "c4 e2 69 92 04 8b",
                                        "a1 88 77 66 55 44 33 22 11",
                                        "66 0f 3a 63 03 00",
                                        "c8 00 00 03",
                                        "67 41 8a 0c 25 d8 e9 88 00",
                                        "f0 48 0f c7 0b",
                                        "0f 0f 03 9e"};
    uint8_t *end = guarded_end();
    assert_non_null(end);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        uint8_t bytes[SEGUE_INSN_BYTES];
        struct segue_insn insn, untouched;
        size_t length = bytes_of(whole[i], bytes);
        memset(&insn, 0x5a, sizeof insn);
        untouched = insn;
        for (size_t size = 0; size < length; size++) {
            memcpy(end - size, bytes, size);
            assert_int_equal(segue_decode(SEGUE_MODE_64, end - size, size, &insn), SEGUE_TRUNCATED);
            assert_memory_equal(&insn, &untouched, sizeof insn);
        }
        memcpy(end - length, bytes, length);
        assert_int_equal(segue_decode(SEGUE_MODE_64, end - length, length, &insn), SEGUE_OK);
        assert_int_equal(insn.length, length);
    }
}

static void sixteen_bytes_are_no_instruction(void **state)
{
    (void)state;
    struct segue_insn insn;
    uint8_t bytes[20];
    memset(bytes, 0x66, sizeof bytes);
    bytes[15] = 0x90;
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_UNDEFINED);
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, 14, &insn), SEGUE_TRUNCATED);
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x06", 1, &insn), SEGUE_UNDEFINED);
}

/* No processor has Knights Corner's instructions any more: MVEX, and VEX encodings of its own. */
static void knights_corner_is_undefined(void **state)
{
    (void)state;
    static const char *const instructions[] = {"62 f1 78 08 28 03", "62 f2 79 0b 90 04 8b", "c4 e1 7b ae 39",
                                               "c4 e1 7a ae f1",    "c4 e1 78 41 c1",       "c4 e1 7a b8 c1"};
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct segue_insn insn;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        size_t size = bytes_of(instructions[i], bytes);
        assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_UNDEFINED);
    }
}

/* Where vendors' processors differ, the list is this one's. */
static void what_vendors_differ_in_is_as_on_this_processor(void **state)
{
    static const struct {
        enum segue_mode mode;
        const char *bytes, *amd, *others;
    } rows[] = {
        {SEGUE_MODE_64, "48 ff 1b", "r6@1000 w16@6ff0/8-", "r10@1000 w16@6ff0/8-"},
        {SEGUE_MODE_64, "48 ff 2b", "r6@1000", "r10@1000"},
        {SEGUE_MODE_64, "66 ff 13", "r2@1000 w2@6ffe", "r8@1000 w8@6ff8"},
        {SEGUE_MODE_64, "66 c3", "r2@7000", "r8@7000"},
        {SEGUE_MODE_64, "66 ff d3", "w2@6ffe", "w8@6ff8"},
        {SEGUE_MODE_64, "66 63 03", "r4@1000", "r2@1000"},
        {SEGUE_MODE_64, "0f 38 c9 03", "r16@1000/4", "r16@1000/4!16"},
        {SEGUE_MODE_64, "cb", "r8@7000/4", "r2@7004 r4@7000"},
        {SEGUE_MODE_64, "48 ca 08 00", "r16@7000/8", "r2@7008 r8@7000"},
        {SEGUE_MODE_64, "66 cb", "r4@7000/2", "r2@7002 r2@7000"},
        {SEGUE_MODE_64, "cf", "r20@7000/4", "r4@7008 r2@7004 r4@7000 r2@7010 r4@700c"},
        {SEGUE_MODE_64, "48 cf", "r40@7000/8", "r8@7010 r2@7008 r8@7000 r2@7020 r8@7018"},
        {SEGUE_MODE_64, "66 cf", "r10@7000/2", "r2@7004 r2@7002 r2@7000 r2@7008 r2@7006"},
        {SEGUE_MODE_32, "cb", "r8@7000/4", "r2@7004 r4@7000"},
        {SEGUE_MODE_32, "cf", "r12@7000/4", "r4@7008 r2@7004 r4@7000"},
        {SEGUE_MODE_32, "66 cf", "r6@7000/2", "r2@7004 r2@7002 r2@7000"},
    };
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    char text[256];
    set_all(&regs, "rbx=1000");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        decode_hex(rows[i].mode, rows[i].bytes, &insn);
        list(&insn, &regs, text);
        assert_string_equal(text, processor_is_amd() ? rows[i].amd : rows[i].others);
    }
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x66\xe8\x00\x10\x00\x00", 6, &insn), SEGUE_OK);
    assert_int_equal(insn.length, processor_is_amd() ? 4 : 6);
}

static bool holds(const uint8_t *bytes, size_t size, uint8_t first, uint8_t second)
{
    for (size_t i = 0; i + 1 < size; i++)
        if (bytes[i] == first && bytes[i + 1] == second)
            return true;
    return false;
}

static void decoders_are_as_zydis_makes_them(void **state)
{
    (void)state;
    static const struct {
        enum segue_mode mode;
        ZydisMachineMode machine;
        ZydisStackWidth stack;
    } modes[] = {{SEGUE_MODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
                 {SEGUE_MODE_32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32}};
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        ZydisDecoder decoder;
        assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[i].machine, modes[i].stack)));
        if (modes[i].mode == SEGUE_MODE_64)
            ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, processor_is_amd());
        for (unsigned round = 0; round < 200000; round++) {
            uint8_t bytes[16];
            ZydisDecodedInstruction instruction;
            ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
            struct segue_insn insn;
            for (size_t j = 0; j < sizeof bytes; j++)
                bytes[j] = (uint8_t)((seed = seed * 6364136223846793005 + 1442695040888963407) >> 56);
            if (segue_decode(modes[i].mode, bytes, sizeof bytes, &insn) != SEGUE_OK)
                continue;
            /* Read without MPX, which decode_reserved.c looks at. */
            if (mnemonic_to_zydis(insn.mnemonic) == ZYDIS_MNEMONIC_NOP && holds(insn.bytes, insn.length, 0x0f, 0x1a))
                continue;
            if (mnemonic_to_zydis(insn.mnemonic) == ZYDIS_MNEMONIC_NOP && holds(insn.bytes, insn.length, 0x0f, 0x1b))
                continue;
            assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, sizeof bytes, &instruction, operands)));
            assert_int_equal(insn.length, instruction.length);
            assert_int_equal(mnemonic_to_zydis(insn.mnemonic), instruction.mnemonic);
        }
    }
}

static bool is_hidden_stack(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
}

/* Compares the stack's accesses, found without Zydis' hidden operands, with these. */
static bool check_stack_element(enum segue_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct segue_insn insn;
    struct register_place base;
    if (segue_decode(mode, bytes, SEGUE_INSN_BYTES, &insn) != SEGUE_OK)
        return false;
    unsigned rule = rules[mnemonic_to_zydis(insn.mnemonic)];
    if (rule != RULE_PUSH && rule != RULE_POP && rule != RULE_LEAVE)
        return false;
    assert_int_equal(zydis_decode(mode, bytes, SEGUE_INSN_BYTES, OPERANDS_ALL, &instruction, operands), SEGUE_OK);
    unsigned hidden = 0;
    /* Far ones are taken from the hidden operand itself. */
    if (instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    for (unsigned i = 0; i < instruction.operand_count; i++) {
        if (!is_hidden_stack(&operands[i]))
            continue;
        bool writes = operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        /* A read comes first; a write, and what a selector leaves of its place, last. */
        unsigned at = writes && insn.memory_count == 2 && insn.memory[0].addressing != SEGUE_ADDRESSING_STACK;
        const struct segue_memory_operand *memory = &insn.memory[at];
        bool split = writes && insn.memory_count == 2 && !at;
        assert_int_equal(memory->addressing, SEGUE_ADDRESSING_STACK);
        assert_int_equal(split ? 2 * memory->size : memory->size, operands[i].size / 8);
        assert_int_equal(memory->direction, writes ? SEGUE_WRITE : SEGUE_READ);
        assert_int_equal(memory->segment, SEGUE_SEGMENT_SS);
        assert_int_equal(operands[i].mem.segment, ZYDIS_REGISTER_SS);
        assert_true(register_find(operands[i].mem.base, &base));
        assert_int_equal(memory->base, base.number);
        assert_int_equal(memory->displacement, writes ? -(int64_t)operands[i].size / 8 : 0);
        hidden++;
    }
    assert_int_equal(hidden, 1);
    return true;
}

/* Every opcode of the first two maps with every ModRM byte. */
static void stack_elements_are_as_zydis_has_them(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"", "66", "67", "48", "66 48", "f2", "64"};
    unsigned checked = 0;
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        for (unsigned opcode = 0; opcode < 2 * 256 * 256; opcode++) {
            uint8_t bytes[SEGUE_INSN_BYTES + 1] = {0};
            size_t at = bytes_of(prefixes[i], bytes);
            if (opcode >> 16)
                bytes[at++] = 0x0f;
            bytes[at++] = (uint8_t)opcode;
            bytes[at] = (uint8_t)(opcode >> 8);
            checked += check_stack_element(SEGUE_MODE_64, bytes) + check_stack_element(SEGUE_MODE_32, bytes);
        }
    assert_true(checked > 100000);
}

static void registers_have_the_places_of_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t number, size, shift;
    } places[] = {
        {"rax", SEGUE_RAX, 8, 0}, {"ebx", SEGUE_RBX, 4, 0},  {"cx", SEGUE_RCX, 2, 0},  {"dl", SEGUE_RDX, 1, 0},
        {"ah", SEGUE_RAX, 1, 8},  {"ch", SEGUE_RCX, 1, 8},   {"dh", SEGUE_RDX, 1, 8},  {"bh", SEGUE_RBX, 1, 8},
        {"spl", SEGUE_RSP, 1, 0}, {"bpl", SEGUE_RBP, 1, 0},  {"sil", SEGUE_RSI, 1, 0}, {"dil", SEGUE_RDI, 1, 0},
        {"r8b", SEGUE_R8, 1, 0},  {"r15b", SEGUE_R15, 1, 0}, {"r9w", SEGUE_R9, 2, 0},  {"r14d", SEGUE_R14, 4, 0},
        {"r13", SEGUE_R13, 8, 0}, {"esp", SEGUE_RSP, 4, 0},  {"bp", SEGUE_RBP, 2, 0},  {"rip", SEGUE_RIP, 8, 0}};
    size_t found = 0;
    for (unsigned reg = 0; reg <= ZYDIS_REGISTER_MAX_VALUE; reg++) {
        struct register_place place;
        const char *name = ZydisRegisterGetString((ZydisRegister)reg);
        if (!register_find((ZydisRegister)reg, &place))
            continue;
        found++;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            if (strcmp(name, places[i].name) != 0)
                continue;
            assert_int_equal(place.number, places[i].number);
            assert_int_equal(place.size, places[i].size);
            assert_int_equal(place.shift, places[i].shift);
        }
    }
    assert_int_equal(found, 16 * 4 + 4 + 3);
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

/* The list holds all that Zydis knows, by its names, and its first numbers are those that it began with. */
static void mnemonics_have_numbers_of_their_own(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
        unsigned number = mnemonic_of_zydis((ZydisMnemonic)i);
        assert_in_range(number, 1, segue_mnemonic_count() - 1);
        assert_int_equal(mnemonic_to_zydis(number), i);
        assert_string_equal(segue_mnemonic_name(number), ZydisMnemonicGetString((ZydisMnemonic)i));
        assert_int_equal(segue_mnemonic_find(segue_mnemonic_name(number)), number);
    }
    assert_int_equal(segue_mnemonic_find("aaa"), 1);
    assert_int_equal(segue_mnemonic_find("mov"), 432);
    assert_int_equal(segue_mnemonic_find("xtest"), 1754);
    assert_int_equal(segue_mnemonic_find("?"), 0);
    assert_int_equal(segue_mnemonic_find(NULL), 0);
    assert_string_equal(segue_mnemonic_name(0), "?");
    assert_string_equal(segue_mnemonic_name(segue_mnemonic_count()), "?");
}

static void every_mnemonic_has_a_class(void **state)
{
    (void)state;
    unsigned without = 0;
    for (unsigned i = 0; i < segue_mnemonic_count(); i++) {
        enum segue_class number = segue_mnemonic_class(i);
        if (number != SEGUE_CLASS_UNKNOWN && number < SEGUE_CLASS_COUNT)
            continue;
        print_error("%s has no class\n", segue_mnemonic_name(i));
        without++;
    }
    assert_int_equal(without, 0);
    assert_int_equal(segue_mnemonic_class(segue_mnemonic_count()), SEGUE_CLASS_UNKNOWN);
    assert_string_equal(segue_class_name(SEGUE_CLASS_COUNT), "?");
}

static void forms_have_their_own_class(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *class_name;
    } forms[] = {{"8b 03", "move"},
                 {"01 c0", "alu"},
                 {"03 03", "alu"},
                 {"01 03", "rmw"},
                 {"f0 01 03", "lock"},
                 {"87 03", "lock"},
                 {"87 c1", "move"},
                 {"39 03", "alu"},
                 {"a5", "string"},
                 {"48 a5", "string"},
                 {"f2 0f 10 03", "simd-move"},
                 {"f2 0f c2 03 00", "simd-compute"},
                 {"a7", "string"},
                 {"ff 33", "stack"},
                 {"0f a0", "segment"},
                 {"8e d8", "segment"},
                 {"0f 20 c0", "system"},
                 {"ff 13", "branch"},
                 {"c3", "branch"},
                 {"0f a3 0b", "bit"},
                 {"f0 0f ab 0b", "lock"},
                 {"d9 03", "x87"},
                 {"0f ae 03", "state"},
                 {"c4 e2 69 92 04 8b", "gather"},
                 {"62 f2 7d 49 a0 04 8b", "scatter"},
                 {"c5 f8 90 0b", "mask"},
                 {"66 0f f7 c1", "mask"},
                 {"0f 01 03", "system"},
                 {"0f 1f 03", "none"},
                 {"0f 18 0b", "none"},
                 {"0f b1 0b", "rmw"},
                 {"f0 0f c7 0b", "lock"},
                 {"8c 1b", "segment"},
                 {"0f 94 03", "alu"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct segue_insn insn;
        decode_hex(SEGUE_MODE_64, forms[i].bytes, &insn);
        if (strcmp(segue_class_name((enum segue_class)insn.class_), forms[i].class_name) != 0)
            fail_msg("%s is %s, not %s", forms[i].bytes, segue_class_name((enum segue_class)insn.class_),
                     forms[i].class_name);
    }
}

/* ---- the page that describes it ------------------------------------------------------------------------------------
 */

/* docs/decode.md lists each class's mnemonics as classes.txt does. */
static void page_lists_every_class(void **state)
{
    const char *name = *state;
    static char page[1 << 17];
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t size = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    page[size] = 0;
    for (unsigned i = 1; i < segue_mnemonic_count(); i++) {
        char heading[40], word[40];
        snprintf(heading, sizeof heading, "\n### %s\n", segue_class_name(segue_mnemonic_class(i)));
        const char *section = strstr(page, heading);
        if (!section)
            fail_msg("no section%s", heading);
        const char *end = strstr(section + strlen(heading), "\n### ");
        snprintf(word, sizeof word, "%s", segue_mnemonic_name(i));
        bool found = false;
        for (const char *at = section; !found && (at = strstr(at + 1, word)) && (!end || at < end);)
            found = strchr(" \n`", at[-1]) && strchr(" \n`", at[strlen(word)]);
        if (!found)
            fail_msg("%s does not stand under%s", word, heading);
    }
}

int main(int count, char **arguments)
{
    char *page = count > 1 ? arguments[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_that_do_not_fit_are_counted),
        cmocka_unit_test(accesses_tell_their_operand),
        cmocka_unit_test(null_pointers_are_invalid),
        cmocka_unit_test(masks_without_their_state_are_refused),
        cmocka_unit_test(legacy_state_is_enough_for_sse),
        cmocka_unit_test(reasons_have_texts),
        cmocka_unit_test(shortened_instructions_are_truncated),
        cmocka_unit_test(sixteen_bytes_are_no_instruction),
        cmocka_unit_test(knights_corner_is_undefined),
        cmocka_unit_test(what_vendors_differ_in_is_as_on_this_processor),
        cmocka_unit_test(decoders_are_as_zydis_makes_them),
        cmocka_unit_test(stack_elements_are_as_zydis_has_them),
        cmocka_unit_test(registers_have_the_places_of_their_names),
        cmocka_unit_test(mnemonics_have_numbers_of_their_own),
        cmocka_unit_test(every_mnemonic_has_a_class),
        cmocka_unit_test(forms_have_their_own_class),
        cmocka_unit_test_prestate(page_lists_every_class, page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
