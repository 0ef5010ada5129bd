/* fixups.c: corrects the operand descriptors that Zydis describes differently from what the processor does, rule by
 * rule (rules.h names the mnemonics).
 *
 * SOURCES: Intel SDM volume 2, each instruction's page. tests/access_check settles what the manual leaves open. */
#include "fixups.h"

#include "decode/x86/processor.h"

/* Corrects a descriptor made from Zydis' operand. `argument` is the rule's own. */
typedef void fixup(const struct builder *builder, const ZydisDecodedOperand *operand,
                   struct segue_memory_operand *memory, unsigned argument);

static void fix_size(const struct builder *builder, const ZydisDecodedOperand *operand,
                     struct segue_memory_operand *memory, unsigned size)
{
    (void)builder, (void)operand;
    memory->size = (uint16_t)size;
    memory->element = (uint8_t)size;
}

/* An alignment of 0 removes the alignment requirement. */
static void fix_alignment(const struct builder *builder, const ZydisDecodedOperand *operand,
                          struct segue_memory_operand *memory, unsigned alignment)
{
    (void)builder, (void)operand;
    memory->alignment = (uint8_t)alignment;
}

/* A single element of `size` bytes, aligned to its size. */
static void fix_one(const struct builder *builder, const ZydisDecodedOperand *operand,
                    struct segue_memory_operand *memory, unsigned size)
{
    (void)builder, (void)operand;
    memory->element = memory->alignment = (uint8_t)size;
}

/* AMD processors do not check alignment here, although AMD's manual says that they do (docs/facts.md). */
static void fix_sha(const struct builder *builder, const ZydisDecodedOperand *operand,
                    struct segue_memory_operand *memory, unsigned argument)
{
    (void)builder, (void)operand, (void)argument;
    if (processor_is_amd())
        memory->alignment = 0;
}

/* Zydis gives the stack pointer's value before the instruction; the processor decrements it before it stores. If it
 * pushes several elements, it pushes the highest first. */
static void fix_stack(const struct builder *builder, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned addressing)
{
    if (operand->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        return;
    memory->addressing = (uint8_t)addressing;
    memory->element = (uint8_t)(builder->instruction->operand_width / 8);
    if (memory->element > memory->size || memory->size % memory->element != 0)
        memory->element = (uint8_t)memory->size;
    if (memory->direction != SEGUE_WRITE)
        return;
    memory->displacement -= memory->size;
    if (memory->size > memory->element)
        memory->flags |= SEGUE_ACCESS_DOWN;
}

/* Some vector instructions have the same mnemonics. */
static bool is_string(const ZydisDecodedInstruction *instruction)
{
    return instruction->meta.category == ZYDIS_CATEGORY_STRINGOP ||
           instruction->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

static void fix_string(const struct builder *builder, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    if (!is_string(builder->instruction))
        return;
    memory->addressing = (uint8_t)addressing;
    if (builder->insn->flags & SEGUE_INSN_REPEATED)
        memory->flags |= SEGUE_ACCESS_REPEATED;
    if (builder->insn->flags & SEGUE_INSN_CONDITIONAL)
        memory->flags |= SEGUE_ACCESS_UNTIL;
}

/* CMPS reads its destination operand before its source operand; Zydis lists the source first (docs/facts.md). The
 * vector instruction of the same mnemonic has only one memory operand. */
static void fix_compare(const struct builder *builder, const ZydisDecodedOperand *operand,
                        struct segue_memory_operand *memory, unsigned addressing)
{
    struct segue_memory_operand *first = &builder->insn->memory[0], other;
    fix_string(builder, operand, memory, addressing);
    if (!is_string(builder->instruction))
        return;
    other = *first;
    *first = *memory;
    *memory = other;
}

/* POP computes its operand's address after it has incremented the stack pointer. */
static void fix_pop(const struct builder *builder, const ZydisDecodedOperand *operand,
                    struct segue_memory_operand *memory, unsigned argument)
{
    (void)builder, (void)operand, (void)argument;
    if (memory->base == SEGUE_RSP)
        memory->displacement += memory->size;
}

/* Far returns: AMD processors read whole words. Intel processors read only the two bytes of the selector, before the
 * offset (docs/facts.md). */
static void fix_far_return(const struct builder *builder, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory, unsigned addressing)
{
    fix_stack(builder, operand, memory, addressing);
    if (memory->addressing != addressing || processor_is_amd())
        return;
    struct segue_memory_operand *offset = builder_add(builder->insn);
    *offset = *memory;
    offset->size = offset->element;
    memory->displacement += memory->element;
    memory->size = memory->element = 2;
}

/* In 64-bit mode IRET always pops the stack pointer; in 32-bit mode it does not pop it within one privilege level.
 * Whether the processor reads whole words is as for far returns. */
static void fix_interrupt_return(const struct builder *builder, const ZydisDecodedOperand *operand,
                                 struct segue_memory_operand *memory, unsigned addressing)
{
    fix_stack(builder, operand, memory, addressing);
    memory->element = (uint8_t)(builder->instruction->operand_width / 8);
    memory->size = (uint16_t)(memory->element * (builder->insn->mode == SEGUE_MODE_64 ? 5 : 3));
    memory->lanes = 1;
    if (!processor_is_amd())
        memory->lanes = (uint8_t)(memory->size / memory->element);
}

static void fix_enter(const struct builder *builder, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    memory->addressing = (uint8_t)addressing;
    memory->direction = SEGUE_READ | SEGUE_WRITE;
    memory->displacement = (int64_t)builder->operands[0].imm.value.u;
    memory->lanes = builder->operands[1].imm.value.u % 32;
}

static void fix_xlat(const struct builder *builder, const ZydisDecodedOperand *operand,
                     struct segue_memory_operand *memory, unsigned addressing)
{
    (void)builder, (void)operand;
    memory->addressing = (uint8_t)addressing;
    memory->index = SEGUE_RAX;
}

static void fix_bit_offset(const struct builder *builder, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    if (builder->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
        return;
    memory->addressing = (uint8_t)addressing;
    memory->mask = builder_register(builder->operands[1].reg.value);
}

/* The mask is the second operand. `element` is 0 if Zydis gives the right element size. */
static void fix_signs(const struct builder *builder, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned element)
{
    (void)operand;
    ZydisRegister reg = builder->operands[1].reg.value;
    bool mmx = ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_MMX;
    if (element)
        memory->element = (uint8_t)element;
    memory->alignment = 0;
    memory->masking = mmx ? SEGUE_MASKING_MMX_SIGN_BITS : SEGUE_MASKING_SIGN_BITS;
    memory->mask = (uint8_t)ZydisRegisterGetId(reg);
    memory->lanes = (uint8_t)(memory->size / memory->element);
    memory->flags |= SEGUE_ACCESS_MASKED;
    /* MASKMOVQ and MASKMOVDQU may fault on any byte of their operand, whatever the mask. */
    if (memory->element == 1)
        memory->probe = SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL;
}

static unsigned register_size(ZydisRegister reg)
{
    return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8;
}

/* Gathers and scatters: as many lanes as both the data vector and the index vector have. */
static void fix_vector(const struct builder *builder, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned index_size)
{
    bool evex = builder->instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    const ZydisDecodedOperand *data = &builder->operands[memory->direction == SEGUE_READ ? 0 : 2];
    unsigned data_lanes = register_size(data->reg.value) / memory->element;
    unsigned index_lanes = register_size(operand->mem.index) / index_size;
    memory->lanes = (uint8_t)(data_lanes < index_lanes ? data_lanes : index_lanes);
    memory->index_size = (uint8_t)index_size;
    memory->flags |= SEGUE_ACCESS_MASKED;
    memory->masking = evex ? SEGUE_MASKING_OPMASK : SEGUE_MASKING_SIGN_BITS;
    memory->mask = evex ? (uint8_t)(builder->instruction->avx.mask.reg - ZYDIS_REGISTER_K0)
                        : (uint8_t)ZydisRegisterGetId(builder->operands[2].reg.value);
}

/* Without a mask all elements are accessed. */
static void fix_compressed(const struct builder *builder, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory, unsigned addressing)
{
    (void)builder, (void)operand;
    if (memory->masking != SEGUE_MASKING_NONE)
        memory->addressing = (uint8_t)addressing;
}

/* The whole operand is one element; it is accessed if any of `lanes` mask bits is set. */
static void fix_one_element(const struct builder *builder, const ZydisDecodedOperand *operand,
                            struct segue_memory_operand *memory, unsigned lanes)
{
    (void)builder, (void)operand;
    memory->element = (uint8_t)memory->size;
    if (memory->masking != SEGUE_MASKING_NONE)
        memory->lanes = (uint8_t)lanes;
}

/* Two of Zydis' elements form one lane. */
static void fix_pairs(const struct builder *builder, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned element)
{
    (void)operand;
    memory->element = (uint8_t)element;
    if (memory->masking != SEGUE_MASKING_NONE && !builder->instruction->avx.broadcast.mode)
        memory->lanes = (uint8_t)(memory->size / element);
}

static void fix_not_masked(const struct builder *builder, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory, unsigned argument)
{
    (void)builder, (void)operand, (void)argument;
    memory->masking = SEGUE_MASKING_NONE;
    memory->flags &= (uint8_t)~SEGUE_ACCESS_MASKED;
}

static void fix_state(const struct builder *builder, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned area)
{
    (void)builder, (void)operand;
    memory->addressing = SEGUE_ADDRESSING_STATE;
    memory->size = 0;
    memory->lanes = (uint8_t)area;
    memory->element = 1;
    memory->alignment = 64;
}

/* The first operand holds the destination's address; its segment is always ES. Zydis does not list the destination of
 * ENQCMD, and lists that of MOVDIR64B among the hidden operands with the wrong segment. */
static void fix_direct_store(const struct builder *builder, const ZydisDecodedOperand *operand,
                             struct segue_memory_operand *memory, unsigned size)
{
    (void)operand;
    struct segue_memory_operand *target = builder_add(builder->insn);
    target->segment = SEGUE_SEGMENT_ES;
    target->base = builder_register(builder->operands[0].reg.value);
    target->direction = SEGUE_WRITE;
    target->size = (uint16_t)size;
    memory->element = target->element = target->alignment = (uint8_t)size;
    target->flags = SEGUE_ACCESS_ATOMIC;
}

static const struct {
    fixup *fix;
    uint8_t argument;
} fixups[RULE_REFUSED] = {
    [RULE_BYTE] = {fix_size, 1},
    [RULE_STACK] = {fix_stack, SEGUE_ADDRESSING_STACK},
    [RULE_FAR_RETURN] = {fix_far_return, SEGUE_ADDRESSING_STACK},
    [RULE_STRING] = {fix_string, SEGUE_ADDRESSING_STRING},
    [RULE_COMPARE] = {fix_compare, SEGUE_ADDRESSING_STRING},
    [RULE_POP] = {fix_pop, 0},
    [RULE_POP_ALL] = {fix_stack, SEGUE_ADDRESSING_POP_ALL},
    [RULE_INTERRUPT_RETURN] = {fix_interrupt_return, SEGUE_ADDRESSING_INTERRUPT_RETURN},
    [RULE_ENTER] = {fix_enter, SEGUE_ADDRESSING_ENTER},
    [RULE_XLAT] = {fix_xlat, SEGUE_ADDRESSING_TABLE},
    [RULE_BIT_OFFSET] = {fix_bit_offset, SEGUE_ADDRESSING_BIT_OFFSET},
    [RULE_SIGNS] = {fix_signs, 0},
    [RULE_SIGNS_OF_BYTES] = {fix_signs, 1},
    [RULE_VECTOR_DOUBLEWORDS] = {fix_vector, 4},
    [RULE_VECTOR_QUADWORDS] = {fix_vector, 8},
    [RULE_COMPRESSED] = {fix_compressed, SEGUE_ADDRESSING_COMPRESSED},
    [RULE_ONE_OF_SIXTEEN] = {fix_one_element, 16},
    [RULE_ONE_OF_ONE] = {fix_one_element, 1},
    [RULE_PAIRS] = {fix_pairs, 4},
    [RULE_NOT_MASKED] = {fix_not_masked, 0},
    [RULE_UNALIGNED] = {fix_alignment, 0},
    [RULE_ALIGNED_16] = {fix_alignment, 16},
    [RULE_WHOLE_16] = {fix_one, 16},
    [RULE_SHA] = {fix_sha, 0},
    [RULE_XSAVE] = {fix_state, SEGUE_STATE_XSAVE},
    [RULE_XSAVEOPT] = {fix_state, SEGUE_STATE_XSAVEOPT},
    [RULE_XSAVEC] = {fix_state, SEGUE_STATE_XSAVEC},
    [RULE_XRSTOR] = {fix_state, SEGUE_STATE_XRSTOR},
    [RULE_DIRECT_STORE] = {fix_direct_store, 64},
};

void fixups_apply(const struct builder *builder, const ZydisDecodedOperand *operand,
                  struct segue_memory_operand *memory, enum rule rule)
{
    if (fixups[rule].fix)
        fixups[rule].fix(builder, operand, memory, fixups[rule].argument);
}
