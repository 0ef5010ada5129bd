/* registered.c: every row of corpus files with its memory operand in each register, decoded again: the same
 * instruction, at [register].
 *
 *      registered FILE... */
#include "emulate/body/build/registered.h"

#include <string.h>

#include "tests/support/test.h"

#include "corpus/rows/rows.h"
#include "decode/operands/registers.h"
#include "decode/scratch.h"

static struct corpus_rows rows;
static char row_text[2 * CORPUS_ROW_BYTES + 1];

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s, register %u: %s", row_text, reg, #condition);                                                \
    } while (0)

static bool decode(struct decode_scratch *scratch, const uint8_t *bytes, size_t size)
{
    memset(scratch, 0, sizeof *scratch);
    return zydis_decode(SEGUE_MODE_64, bytes, size, OPERANDS_ALL, &scratch->instruction, scratch->operands) == SEGUE_OK;
}

static bool is_named(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
}

static void compare_operand(const ZydisDecodedOperand *before, const ZydisDecodedOperand *after, unsigned reg)
{
    struct register_place base;
    CHECK(before->type == after->type && before->size == after->size && before->actions == after->actions);
    if (is_named(before)) {
        CHECK(register_find(after->mem.base, &base) && base.number == reg);
        CHECK(after->mem.index == ZYDIS_REGISTER_NONE);
        CHECK(!after->mem.disp.has_displacement || after->mem.disp.value == 0);
    } else if (before->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        CHECK(before->mem.base == after->mem.base && before->mem.index == after->mem.index);
    } else if (before->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        CHECK(before->reg.value == after->reg.value);
    } else if (before->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        CHECK(before->imm.value.u == after->imm.value.u);
    }
}

static bool try_register(const struct displaceable *form, const struct decode_scratch *before, unsigned reg)
{
    struct decode_scratch after;
    uint8_t bytes[DISPLACED_BYTES], length;
    if (!registered_copy(form, reg, bytes, &length))
        return false;
    CHECK(decode(&after, bytes, length) && after.instruction.length == length);
    CHECK(after.instruction.mnemonic == before->instruction.mnemonic);
    CHECK(after.instruction.operand_count == before->instruction.operand_count);
    CHECK(after.instruction.operand_width == before->instruction.operand_width);
    uint64_t kept = ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
    CHECK((after.instruction.attributes & kept) == (before->instruction.attributes & kept));
    CHECK(after.instruction.avx.mask.reg == before->instruction.avx.mask.reg &&
          after.instruction.avx.broadcast.mode == before->instruction.avx.broadcast.mode);
    for (unsigned i = 0; i < after.instruction.operand_count; i++)
        compare_operand(&before->operands[i], &after.operands[i], reg);
    return true;
}

static void operands_move_to_any_register(void **state)
{
    uint64_t forms = 0, copies = 0, refused = 0;
    (void)state;
    for (size_t i = 0; i < rows.count; i++) {
        struct decode_scratch before;
        struct displaceable form;
        corpus_row_text(&rows.rows[i], row_text);
        if (!displaceable_make(&before, 0x10000, rows.rows[i].bytes, rows.rows[i].length, &form) ||
            !(form.is_plain || form.is_masked) || form.operand == DISPLACED_OPERAND_OFFSET)
            continue;
        forms++;
        for (unsigned reg = 0; reg < SEGUE_RIP; reg++) {
            if (reg == SEGUE_RSP)
                continue;
            if (try_register(&form, &before, reg))
                copies++;
            else
                refused++;
        }
    }
    print_message("%lu rows, %lu copies, %lu refused\n", (unsigned long)forms, (unsigned long)copies,
                  (unsigned long)refused);
    /* AH to BH beside one of eight registers. */
    assert_true(forms > 1000 && refused * 50 < copies);
}

int main(int argc, char **argv)
{
    struct corpus_error error = {0};
    const struct CMUnitTest tests[] = {cmocka_unit_test(operands_move_to_any_register)};
    for (int i = 1; i < argc; i++)
        if (!corpus_rows_read(&rows, argv[i], &error))
            return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
