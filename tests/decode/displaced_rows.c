/* displaced_rows.c: displaced copies, branches and addresses of every row of corpus files, decoded again by Zydis.
 *
 * What it shows: a copy is the same instruction, with one change: its operand's displacement has changed by exactly
 * the distance; and a refusal has a reason: no encoding has room for the displacement. What the processor makes of the
 * copies, displaced_native shows. The cache of decoded instructions (displaceable_cache.h) gives the same as decoding.
 *
 *      displaced_rows FILE... */
#include <stdio.h>
#include <string.h>

#include "corpus/rows/rows.h"
#include "decode/mnemonics/mnemonics.h"
#include "decode/relocate/displaceable_cache.h"
#include "decode/scratch.h"
#include "tests/support/test.h"

#define HERE UINT64_C(0x0000555555554321)

static const char *const *files;
static struct corpus_rows rows;

/* Where copies go, and how far their operands are moved. */
static const uint64_t places[] = {HERE, HERE + 0x1003, HERE - 0x12345678, HERE + 0x7fffff00,
                                  HERE + (UINT64_C(1) << 40)};
static const int64_t distances[] = {
    0, 8, -8, 152, 0x7c, -0x80, 0x12345678, -0x12345678, 0x7fffff80, -0x7fffff80, INT64_C(1) << 41,
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct counts {
    uint64_t rows, instructions, flows[DISPLACED_FLOW_STAYS + 1], operands[DISPLACED_OPERAND_OFFSET + 1];
    uint64_t plain, masked, copies, refused, too_long, leas, branches;
    uint32_t staying[4096];
} counts;

static char row_text[2 * CORPUS_ROW_BYTES + 1];

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s", row_text, #condition);                                                                  \
    } while (0)

/* ---- the same instruction ---------------------------------------------------------------------------------------- */

static bool decode(struct decode_scratch *scratch, const uint8_t *bytes, size_t size)
{
    memset(scratch, 0, sizeof *scratch);
    return zydis_decode(SEGUE_MODE_64, bytes, size, OPERANDS_ALL, &scratch->instruction, scratch->operands) == SEGUE_OK;
}

/* The part of an effective address that does not come from registers. */
static uint64_t constant_part(const struct decode_scratch *decoded, const ZydisDecodedOperand *operand,
                              uint64_t address)
{
    uint64_t sum = operand->mem.disp.has_displacement ? (uint64_t)operand->mem.disp.value : 0;
    if (operand->mem.base == ZYDIS_REGISTER_RIP || operand->mem.base == ZYDIS_REGISTER_EIP)
        sum += address + decoded->instruction.length;
    return decoded->instruction.address_width == 32 ? (uint32_t)sum : sum;
}

static bool is_pointer(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP;
}

static ZydisRegister base_of(const ZydisDecodedOperand *operand)
{
    return is_pointer(operand->mem.base) ? ZYDIS_REGISTER_NONE : operand->mem.base;
}

static void same_memory(const struct decode_scratch *before, const struct decode_scratch *after,
                        const ZydisDecodedOperand *left, const ZydisDecodedOperand *right, uint64_t to, int64_t by)
{
    CHECK(left->mem.type == right->mem.type && left->mem.segment == right->mem.segment);
    CHECK(base_of(left) == base_of(right) && left->mem.index == right->mem.index);
    CHECK(left->mem.index == ZYDIS_REGISTER_NONE || left->mem.scale == right->mem.scale);
    bool moves =
        left->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM || left->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64;
    uint64_t wanted = constant_part(before, left, HERE) + (moves ? (uint64_t)by : 0);
    if (before->instruction.address_width == 32)
        wanted = (uint32_t)wanted;
    CHECK(constant_part(after, right, to) == wanted);
}

static void same_operand(const struct decode_scratch *before, const struct decode_scratch *after, size_t i, uint64_t to,
                         int64_t by)
{
    const ZydisDecodedOperand *left = &before->operands[i], *right = &after->operands[i];
    CHECK(left->type == right->type && left->size == right->size && left->actions == right->actions);
    CHECK(left->element_type == right->element_type && left->element_count == right->element_count);
    CHECK(left->visibility == right->visibility && left->encoding == right->encoding);
    if (left->type == ZYDIS_OPERAND_TYPE_REGISTER)
        CHECK(left->reg.value == right->reg.value);
    else if (left->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        CHECK(left->imm.is_relative == right->imm.is_relative && left->imm.value.u == right->imm.value.u);
    else if (left->type == ZYDIS_OPERAND_TYPE_MEMORY)
        same_memory(before, after, left, right, to, by);
}

static void same_instruction(const struct decode_scratch *before, const uint8_t *bytes, size_t length, uint64_t to,
                             int64_t by)
{
    static struct decode_scratch after;
    /* Redundant prefixes may be gone, and an addressing form may have another attribute. */
    const ZydisInstructionAttributes form =
        ZYDIS_ATTRIB_HAS_SIB | ZYDIS_ATTRIB_HAS_REX | ZYDIS_ATTRIB_HAS_SEGMENT_CS | ZYDIS_ATTRIB_HAS_SEGMENT_DS |
        ZYDIS_ATTRIB_HAS_SEGMENT_ES | ZYDIS_ATTRIB_HAS_SEGMENT_SS | ZYDIS_ATTRIB_HAS_SEGMENT | ZYDIS_ATTRIB_IS_RELATIVE;
    CHECK(decode(&after, bytes, length));
    CHECK(after.instruction.length == length && length <= SEGUE_INSN_BYTES);
    CHECK(after.instruction.mnemonic == before->instruction.mnemonic);
    CHECK(after.instruction.encoding == before->instruction.encoding);
    CHECK(after.instruction.opcode_map == before->instruction.opcode_map);
    CHECK(after.instruction.opcode == before->instruction.opcode);
    CHECK(after.instruction.operand_width == before->instruction.operand_width);
    CHECK(after.instruction.address_width == before->instruction.address_width);
    CHECK((after.instruction.attributes & ~form) == (before->instruction.attributes & ~form));
    CHECK(memcmp(&after.instruction.avx, &before->instruction.avx, sizeof after.instruction.avx) == 0);
    CHECK(after.instruction.operand_count == before->instruction.operand_count);
    for (size_t i = 0; i < after.instruction.operand_count; i++)
        same_operand(before, &after, i, to, by);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static bool fits_32(int64_t value)
{
    return value == (int32_t)value;
}

static bool is_far(uint64_t target, uint64_t next)
{
    return !fits_32((int64_t)(target - next));
}

static bool may_be_refused(const struct displaceable *form, uint64_t to, int64_t by)
{
    bool no_registers = form->memory.base == SEGUE_REGISTER_NONE && form->memory.index == SEGUE_REGISTER_NONE;
    int64_t sum;
    switch ((enum displaced_operand)form->operand) {
    case DISPLACED_OPERAND_NONE:
        return by != 0;
    case DISPLACED_OPERAND_RELATIVE:
        return form->address_size == 8 &&
               is_far(form->address + form->length + (uint64_t)form->encoded + (uint64_t)by, to + form->length);
    case DISPLACED_OPERAND_OFFSET:
        return false;
    default:
        if (by == 0 || form->address_size == 4)
            return false;
        return __builtin_add_overflow(form->encoded, by, &sum) ||
               (!fits_32(sum) && (!no_registers || is_far((uint64_t)sum, to + form->length - 1u)));
    }
}

/* Whether it could not have grown by so much: a displacement of 4 bytes in place of what there is. */
static bool may_be_too_long(const struct displaceable *form)
{
    return form->length + 4 - (form->tail - form->displacement) > SEGUE_INSN_BYTES;
}

static void copy_everywhere(const struct decode_scratch *before, const struct displaceable *form)
{
    uint8_t bytes[DISPLACED_BYTES], length;
    bool may_move = form->flow == DISPLACED_FLOW_NEXT || form->flow == DISPLACED_FLOW_JUMP_INDIRECT ||
                    form->flow == DISPLACED_FLOW_RETURN;
    for (size_t i = 0; i < COUNT(places); i++) {
        for (size_t k = 0; k < COUNT(distances); k++) {
            if (!displaced_copy(form, places[i], distances[k], bytes, &length)) {
                bool far = may_be_refused(form, places[i], distances[k]);
                counts.refused++;
                counts.too_long += may_move && !far;
                CHECK(!may_move || far || may_be_too_long(form));
                continue;
            }
            CHECK(may_move);
            counts.copies++;
            same_instruction(before, bytes, length, places[i], distances[k]);
        }
    }
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void same_address(const struct displaceable *form, const uint8_t *bytes, size_t length, uint64_t to, int64_t by,
                         ZydisRegister result)
{
    static struct decode_scratch lea;
    bool relative = form->operand == DISPLACED_OPERAND_RELATIVE;
    bool constant = relative || (form->memory.base == SEGUE_REGISTER_NONE && form->memory.index == SEGUE_REGISTER_NONE);
    uint64_t wanted = (uint64_t)form->memory.displacement + (uint64_t)by;
    if (relative)
        wanted = (uint64_t)form->encoded + form->address + form->length + (uint64_t)by;
    if (form->address_size == 4)
        wanted = (uint32_t)wanted;
    CHECK(decode(&lea, bytes, length) && lea.instruction.length == length);
    CHECK(lea.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && lea.operands[0].reg.value == result);
    if (lea.instruction.mnemonic == ZYDIS_MNEMONIC_MOV) {
        CHECK(constant && lea.operands[1].imm.value.u == wanted);
        return;
    }
    CHECK(lea.instruction.mnemonic == ZYDIS_MNEMONIC_LEA && lea.operands[0].size == 64);
    CHECK(constant_part(&lea, &lea.operands[1], to) == wanted);
    CHECK(constant || lea.instruction.address_width == form->address_size * 8);
    if (constant) {
        CHECK(base_of(&lea.operands[1]) == ZYDIS_REGISTER_NONE && lea.operands[1].mem.index == ZYDIS_REGISTER_NONE);
        return;
    }
    ZydisRegisterClass wide = form->address_size == 8 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32;
    static const uint8_t ids[] = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
    CHECK(lea.operands[1].mem.base == (form->memory.base == SEGUE_REGISTER_NONE
                                           ? ZYDIS_REGISTER_NONE
                                           : ZydisRegisterEncode(wide, ids[form->memory.base])));
    CHECK(lea.operands[1].mem.index == (form->memory.index == SEGUE_REGISTER_NONE
                                            ? ZYDIS_REGISTER_NONE
                                            : ZydisRegisterEncode(wide, ids[form->memory.index])));
    CHECK(form->memory.index == SEGUE_REGISTER_NONE || lea.operands[1].mem.scale == form->memory.scale);
}

static void address_everywhere(const struct displaceable *form)
{
    static const struct {
        uint8_t number;
        ZydisRegister reg;
    } results[] = {{SEGUE_R11, ZYDIS_REGISTER_R11}, {SEGUE_RBX, ZYDIS_REGISTER_RBX}};
    uint8_t bytes[DISPLACED_BYTES], length;
    for (size_t i = 0; i < COUNT(places); i++) {
        for (size_t k = 0; k < COUNT(distances); k++) {
            size_t which = (i + k) % COUNT(results);
            if (displaced_lea(form, places[i], distances[k], results[which].number, bytes, &length)) {
                counts.leas++;
                same_address(form, bytes, length, places[i], distances[k], results[which].reg);
            } else {
                int64_t sum;
                CHECK(form->operand == DISPLACED_OPERAND_NONE || form->memory.addressing == SEGUE_ADDRESSING_VECTOR ||
                      (form->address_size == 8 &&
                       (__builtin_add_overflow(form->memory.displacement, distances[k], &sum) || !fits_32(sum))));
            }
        }
    }
}

/* ---- branches ---------------------------------------------------------------------------------------------------- */

static uint64_t target_of(const struct decode_scratch *branch, uint64_t address)
{
    return address + branch->instruction.length + branch->operands[0].imm.value.u;
}

static void check_branch(const struct decode_scratch *before, const struct displaceable *form)
{
    static struct decode_scratch after;
    uint8_t bytes[DISPLACED_BYTES], length;
    bool direct = form->flow >= DISPLACED_FLOW_CONDITIONAL && form->flow <= DISPLACED_FLOW_CALL;
    CHECK(!direct || form->target == target_of(before, HERE));
    counts.branches += direct;
    if (!displaced_call_as_jump(form, HERE, 0, bytes, &length))
        return;
    CHECK(decode(&after, bytes, length) && after.instruction.mnemonic == ZYDIS_MNEMONIC_JMP);
    CHECK(before->instruction.mnemonic == ZYDIS_MNEMONIC_CALL);
    same_operand(before, &after, 0, HERE, 0);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* All x87 instructions (D8 to DF) but those that control its state: SDM volume 1, 8.1.8. */
static bool leaves_its_address(const struct decode_scratch *before, const struct displaceable *form)
{
    static const char *const controls[] = {"fninit", "fnclex",  "fldcw",  "fnstcw", "fnstsw",
                                           "fldenv", "fnstenv", "fnsave", "frstor"};
    const char *name = ZydisMnemonicGetString(before->instruction.mnemonic);
    bool is_x87 =
        before->instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && (form->bytes[form->opcode] & 0xf8) == 0xd8;
    for (size_t i = 0; i < COUNT(controls); i++)
        if (strcmp(name, controls[i]) == 0)
            return false;
    /* FWAIT is taken for one, which it need not be. */
    return is_x87 || strcmp(name, "fwait") == 0;
}

static void check_parts(const struct decode_scratch *before, const struct displaceable *form)
{
    CHECK(form->length == before->instruction.length && form->address == HERE);
    CHECK(form->displacement + before->instruction.raw.disp.size / 8 == form->tail && form->tail <= form->length);
    if (before->instruction.raw.imm[0].size && form->modrm)
        CHECK(form->tail == before->instruction.raw.imm[0].offset);
    CHECK(form->is_recorded == leaves_its_address(before, form));
    if (form->is_plain || form->is_masked)
        CHECK(form->memory.size && form->memory.direction && form->address_size == 8);
    if (form->is_masked)
        CHECK(!form->is_plain && form->memory.mask && form->memory.lanes && form->memory.element &&
              before->instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX);
}

/* Twice: the cache decodes it, and then knows it. */
static void find_both_times(const uint8_t *bytes, size_t size, uint64_t address)
{
    static struct displaceable_cache cache;
    static struct decode_scratch scratch;
    struct displaceable form, found;
    bool made = displaceable_make(&scratch, address, bytes, size, &form);
    for (unsigned i = 0; i < 2; i++) {
        bool is_found = displaceable_find(&cache, &scratch, address, bytes, size, &found);
        CHECK(is_found == made);
        CHECK(!made || memcmp(&found, &form, sizeof form) == 0);
    }
}

/* The instruction, and others that differ from it in one of its last bytes. */
static void find_neighbours(const struct displaceable *form)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    memcpy(bytes, form->bytes, sizeof bytes);
    find_both_times(bytes, form->length, HERE);
    for (unsigned i = form->opcode + 1u; i < form->length; i++) {
        bytes[i] ^= 0x81;
        find_both_times(bytes, form->length, HERE - 0x123456789);
    }
}

static void check_row(const struct corpus_row *row)
{
    static struct decode_scratch before, scratch;
    struct displaceable form;
    corpus_row_text(row, row_text);
    counts.rows++;
    bool known = row->length <= SEGUE_INSN_BYTES && decode(&before, row->bytes, row->length);
    bool made = displaceable_make(&scratch, HERE, row->bytes, row->length < 15 ? row->length : 15, &form);
    CHECK(made == known);
    if (!made)
        return;
    counts.instructions++;
    counts.flows[form.flow]++;
    counts.operands[form.operand]++;
    counts.plain += form.is_plain;
    counts.masked += form.is_masked;
    counts.staying[mnemonic_of_zydis(before.instruction.mnemonic)] += form.flow == DISPLACED_FLOW_STAYS;
    check_parts(&before, &form);
    copy_everywhere(&before, &form);
    address_everywhere(&form);
    check_branch(&before, &form);
    find_neighbours(&form);
}

static void every_copy_is_the_same_instruction_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < rows.count; i++)
        check_row(&rows.rows[i]);
    print_message("%zu rows, %llu instructions: flows", rows.count, (unsigned long long)counts.instructions);
    for (size_t i = 0; i < COUNT(counts.flows); i++)
        print_message(" %llu", (unsigned long long)counts.flows[i]);
    print_message("; operands");
    for (size_t i = 0; i < COUNT(counts.operands); i++)
        print_message(" %llu", (unsigned long long)counts.operands[i]);
    print_message(
        "; plain %llu, masked %llu\n%llu copies, %llu refused (%llu too long), %llu addresses, %llu branches\nstay:",
        (unsigned long long)counts.plain, (unsigned long long)counts.masked, (unsigned long long)counts.copies,
        (unsigned long long)counts.refused, (unsigned long long)counts.too_long, (unsigned long long)counts.leas,
        (unsigned long long)counts.branches);
    for (unsigned i = 0; i < segue_mnemonic_count(); i++)
        if (counts.staying[i])
            print_message(" %s %u", segue_mnemonic_name(i), counts.staying[i]);
    print_message("\n");
    assert_true(counts.instructions > counts.rows / 2 && counts.plain > counts.instructions / 4);
    assert_true(counts.copies > counts.refused && counts.leas > 0 && counts.branches > 0);
}

static int read_files(void **state)
{
    struct corpus_error error;
    (void)state;
    for (; *files; files++)
        if (!corpus_rows_read(&rows, *files, &error))
            return -1;
    return 0;
}

static int free_rows(void **state)
{
    (void)state;
    corpus_rows_free(&rows);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_copy_is_the_same_instruction_elsewhere)};
    (void)argc;
    files = (const char *const *)(argv + 1);
    return cmocka_run_group_tests(tests, read_files, free_rows);
}
