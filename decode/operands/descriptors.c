/* descriptors.c: builds operand descriptors, from which accesses are computed once registers are known, out of Zydis'
 * description of an instruction. Most operands are as Zydis gives them. A table names the mnemonics that differ
 * (rules.h), and fixups.c corrects them.
 *
 * SOURCES: Intel SDM volume 2, each instruction's page, 2.4 (exception types 1 to 13: alignment), 2.8 (exception types
 * of EVEX: which suppress the faults of masked elements); AMD APM volume 3 for CLZERO, MONITORX and AMD's other
 * extensions. tests/access_check settles what both manuals leave open. */
#include "descriptors.h"

#include "builder.h"
#include "fixups.h"
#include "rules.h"

/* Exception classes in which masked elements do not fault, and those in which the whole operand must be aligned. */
static const bool suppresses[ZYDIS_EXCEPTION_CLASS_MAX_VALUE + 1] = {
    [ZYDIS_EXCEPTION_CLASS_E1] = true,  [ZYDIS_EXCEPTION_CLASS_E2] = true,  [ZYDIS_EXCEPTION_CLASS_E3] = true,
    [ZYDIS_EXCEPTION_CLASS_E4] = true,  [ZYDIS_EXCEPTION_CLASS_E5] = true,  [ZYDIS_EXCEPTION_CLASS_E6] = true,
    [ZYDIS_EXCEPTION_CLASS_E10] = true, [ZYDIS_EXCEPTION_CLASS_E11] = true, [ZYDIS_EXCEPTION_CLASS_E12] = true,
};
static const bool aligns[ZYDIS_EXCEPTION_CLASS_MAX_VALUE + 1] = {
    [ZYDIS_EXCEPTION_CLASS_SSE1] = true, [ZYDIS_EXCEPTION_CLASS_SSE2] = true, [ZYDIS_EXCEPTION_CLASS_SSE4] = true,
    [ZYDIS_EXCEPTION_CLASS_AVX1] = true, [ZYDIS_EXCEPTION_CLASS_E1] = true,   [ZYDIS_EXCEPTION_CLASS_E1NF] = true,
};

static const uint8_t segments[] = {SEGUE_SEGMENT_ES, SEGUE_SEGMENT_CS, SEGUE_SEGMENT_SS,
                                   SEGUE_SEGMENT_DS, SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS};

/* The effective segment of an operand that Zydis does not list: DS or an override, which in 64-bit mode can only be FS
 * or GS. */
static uint8_t segment_in_effect(const struct builder *builder)
{
    static const struct {
        uint8_t prefix, segment;
    } overrides[] = {{0x26, SEGUE_SEGMENT_ES}, {0x2e, SEGUE_SEGMENT_CS}, {0x36, SEGUE_SEGMENT_SS},
                     {0x3e, SEGUE_SEGMENT_DS}, {0x64, SEGUE_SEGMENT_FS}, {0x65, SEGUE_SEGMENT_GS}};
    uint8_t segment = SEGUE_SEGMENT_DS;
    for (size_t i = 0; i < builder->instruction->raw.prefix_count; i++)
        for (size_t j = 0; j < sizeof overrides / sizeof *overrides; j++)
            if (builder->instruction->raw.prefixes[i].value == overrides[j].prefix &&
                (builder->insn->mode == SEGUE_MODE_32 || overrides[j].segment >= SEGUE_SEGMENT_FS))
                segment = overrides[j].segment;
    return segment;
}

static struct segue_memory_operand *add_at(const struct builder *builder, uint8_t base, uint8_t direction,
                                           uint16_t size)
{
    struct segue_memory_operand *memory = builder_add(builder->insn);
    memory->segment = segment_in_effect(builder);
    memory->base = base;
    memory->direction = direction;
    memory->size = size;
    memory->element = (uint8_t)size;
    return memory;
}

static uint8_t element_of(const ZydisDecodedOperand *operand)
{
    /* x87 environments and state images consist of bytes; a far pointer or an 80-bit real is one element. */
    static const bool is_one[] = {[1] = true, [2] = true, [4] = true, [6] = true, [8] = true, [10] = true, [16] = true};
    unsigned element = operand->element_size / 8;
    return (uint8_t)(element < sizeof is_one && is_one[element] ? element : 1);
}

/* The operand as Zydis describes it. */
static struct segue_memory_operand *add_plain(const struct builder *builder, const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;
    struct segue_memory_operand *memory = builder_add(builder->insn);
    memory->segment = segments[mem->segment - ZYDIS_REGISTER_ES];
    memory->base = builder_register(mem->base);
    if (mem->type == ZYDIS_MEMOP_TYPE_VSIB) {
        memory->addressing = SEGUE_ADDRESSING_VECTOR;
        memory->index = (uint8_t)ZydisRegisterGetId(mem->index);
        memory->scale = mem->scale;
    } else {
        memory->index = builder_register(mem->index);
        memory->scale = mem->index != ZYDIS_REGISTER_NONE ? mem->scale : 0;
    }
    memory->direction = (uint8_t)(((operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ? SEGUE_READ : 0) |
                                  ((operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ? SEGUE_WRITE : 0));
    memory->size = (uint16_t)(operand->size / 8);
    memory->element = element_of(operand);
    memory->displacement = mem->disp.has_displacement ? mem->disp.value : 0;
    if (builder->insn->flags & SEGUE_INSN_LOCKED)
        memory->flags |= SEGUE_ACCESS_ATOMIC;
    return memory;
}

/* Alignment of vector operands: legacy encodings require 16 bytes, aligned moves in VEX and EVEX the full vector
 * size. */
static void align(const struct builder *builder, struct segue_memory_operand *memory)
{
    const ZydisDecodedInstruction *instruction = builder->instruction;
    if (memory->size >= 16 && memory->size <= 64 && aligns[instruction->meta.exception_class])
        memory->alignment = (uint8_t)memory->size;
}

/* An EVEX opmask. */
static void mask(const struct builder *builder, struct segue_memory_operand *memory)
{
    static const uint8_t broadcast_lanes[] = {
        [ZYDIS_BROADCAST_MODE_1_TO_2] = 2,   [ZYDIS_BROADCAST_MODE_1_TO_4] = 4,   [ZYDIS_BROADCAST_MODE_1_TO_8] = 8,
        [ZYDIS_BROADCAST_MODE_1_TO_16] = 16, [ZYDIS_BROADCAST_MODE_1_TO_32] = 32, [ZYDIS_BROADCAST_MODE_1_TO_64] = 64,
        [ZYDIS_BROADCAST_MODE_2_TO_4] = 4,   [ZYDIS_BROADCAST_MODE_2_TO_8] = 8,   [ZYDIS_BROADCAST_MODE_2_TO_16] = 16,
        [ZYDIS_BROADCAST_MODE_4_TO_8] = 8,   [ZYDIS_BROADCAST_MODE_4_TO_16] = 16, [ZYDIS_BROADCAST_MODE_8_TO_16] = 16,
    };
    const ZydisDecodedInstruction *instruction = builder->instruction;
    ZydisRegister reg = instruction->avx.mask.reg;
    if (instruction->encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || reg == ZYDIS_REGISTER_NONE ||
        reg == ZYDIS_REGISTER_K0 || memory->element == 0)
        return;
    /* A store never writes masked elements, but in some exception classes it faults on them. */
    bool suppressed = suppresses[instruction->meta.exception_class];
    if (!suppressed && !(memory->direction & SEGUE_WRITE))
        return;
    memory->probe = suppressed ? 0 : SEGUE_ACCESS_PROBE;
    memory->masking = SEGUE_MASKING_OPMASK;
    memory->mask = (uint8_t)(reg - ZYDIS_REGISTER_K0);
    memory->lanes = broadcast_lanes[instruction->avx.broadcast.mode];
    if (memory->lanes == 0)
        memory->lanes = (uint8_t)(memory->size / memory->element);
    memory->flags |= SEGUE_ACCESS_MASKED;
}

static bool is_segment_register(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value >= ZYDIS_REGISTER_ES &&
           operand->reg.value <= ZYDIS_REGISTER_GS;
}

/* In 32-bit mode some processors store only the two bytes of a pushed selector and leave the upper half of the stack
 * slot unchanged. */
static void split_selector(const struct builder *builder, struct segue_memory_operand *memory)
{
    struct segue_memory_operand *upper = builder_add(builder->insn);
    *upper = *memory;
    memory->size = upper->size = 2;
    memory->element = upper->element = 2;
    upper->displacement += 2;
    upper->flags |= SEGUE_ACCESS_OPTIONAL;
}

static enum rule rule_of(const ZydisDecodedInstruction *instruction)
{
    enum rule rule = (enum rule)rules[instruction->mnemonic];
    bool far = instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
    if (!far)
        return rule;
    return rule == RULE_PUSH ? RULE_STACK : rule == RULE_POP ? RULE_FAR_RETURN : rule;
}

/* The stack operand of a push or pop. Zydis lists it among the hidden operands, which take longer to decode than
 * everything else. */
static struct segue_memory_operand *add_on_stack(const struct builder *builder, uint8_t base, uint8_t direction)
{
    struct segue_memory_operand *memory = add_at(builder, base, direction, builder->instruction->operand_width / 8);
    memory->segment = SEGUE_SEGMENT_SS;
    memory->addressing = SEGUE_ADDRESSING_STACK;
    return memory;
}

static void push(const struct builder *builder)
{
    struct segue_memory_operand *memory = add_on_stack(builder, SEGUE_RSP, SEGUE_WRITE);
    memory->displacement = -(int64_t)memory->size;
    if (builder->insn->mode == SEGUE_MODE_32 && memory->size == 4 && builder->instruction->operand_count_visible > 0 &&
        is_segment_register(&builder->operands[0]))
        split_selector(builder, memory);
}

/* Adds operands that Zydis does not list, or that are not decoded, and that the processor accesses before all
 * others. */
static void add_unlisted_first(const struct builder *builder, enum rule rule)
{
    if (rule == RULE_POP)
        add_on_stack(builder, SEGUE_RSP, SEGUE_READ);
    else if (rule == RULE_LEAVE)
        add_on_stack(builder, SEGUE_RBP, SEGUE_READ);
}

/* Adds those that the processor accesses after all others. */
static void add_unlisted(const struct builder *builder, enum rule rule)
{
    struct segue_memory_operand *memory;
    switch (rule) {
    case RULE_PUSH:
        push(builder);
        break;
    case RULE_BYTE_AT_RAX:
        add_at(builder, SEGUE_RAX, SEGUE_READ, 1);
        break;
    case RULE_BYTE_AT_REGISTER:
        add_at(builder, builder_register(builder->operands[0].reg.value), SEGUE_READ, 1);
        break;
    case RULE_LINE_AT_RAX:
        memory = add_at(builder, SEGUE_RAX, SEGUE_WRITE, 64);
        memory->addressing = SEGUE_ADDRESSING_CACHE_LINE;
        break;
    case RULE_USER_INTERRUPT_RETURN:
        memory = add_at(builder, SEGUE_RSP, SEGUE_READ, 24);
        memory->addressing = SEGUE_ADDRESSING_STACK;
        memory->segment = SEGUE_SEGMENT_SS;
        memory->element = 8;
        break;
    default:
        break;
    }
}

static void add_listed(const struct builder *builder, const ZydisDecodedOperand *operand, enum rule rule)
{
    if (builder->insn->memory_count == SEGUE_MEMORY_OPERANDS)
        return;
    struct segue_memory_operand *memory = add_plain(builder, operand);
    align(builder, memory);
    mask(builder, memory);
    fixups_apply(builder, operand, memory, rule);
}

static bool is_accessed(const ZydisDecodedOperand *operand)
{
    return (operand->type == ZYDIS_OPERAND_TYPE_MEMORY) & (operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN) &
           (operand->actions != 0);
}

/* Read-only operands come first, as on the processor. */
static void add_all_listed(const struct builder *builder, enum rule rule)
{
    const ZydisDecodedOperand *listed[ZYDIS_MAX_OPERAND_COUNT + 1];
    size_t count = 0;
    for (size_t i = 0; i < builder->instruction->operand_count; i++) {
        listed[count] = &builder->operands[i];
        count += is_accessed(&builder->operands[i]);
    }
    if (count > SEGUE_MEMORY_OPERANDS)
        count = SEGUE_MEMORY_OPERANDS;
    bool swapped = count == 2 && (listed[0]->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
                   !(listed[1]->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    for (size_t i = 0; i < count; i++)
        add_listed(builder, listed[swapped ? 1 - i : i], rule);
}

bool descriptors_need_hidden(const ZydisDecodedInstruction *instruction)
{
    static const bool hidden[UINT8_MAX + 1] = {
        [RULE_STACK] = true,   [RULE_POP_ALL] = true,          [RULE_ENTER] = true,
        [RULE_XLAT] = true,    [RULE_INTERRUPT_RETURN] = true, [RULE_STRING] = true,
        [RULE_COMPARE] = true, [RULE_SIGNS_OF_BYTES] = true,   [RULE_FAR_RETURN] = true,
    };
    return hidden[rule_of(instruction)];
}

void descriptors_make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                      struct segue_insn *insn)
{
    const struct builder builder = {.instruction = instruction, .operands = operands, .insn = insn};
    enum rule rule = rule_of(instruction);
    if (rule > RULE_REFUSED) {
        insn->unlisted = (uint8_t)(rule - RULE_REFUSED);
        return;
    }
    if (rule == RULE_NO_ACCESS)
        return;
    add_unlisted_first(&builder, rule);
    add_all_listed(&builder, rule);
    add_unlisted(&builder, rule);
}
