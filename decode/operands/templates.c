/* templates.c: what Zydis tells of an instruction's memory operands becomes formulas, out of which registers make the
 * accesses. Most operands are as Zydis gives them; a table names the mnemonics that are not, and what is different.
 *
 * SOURCES: Intel SDM volume 2, each instruction's page, 2.4 (exception types 1 to 13: alignment), 2.8 (exception types
 * of EVEX: which suppress the faults of masked elements); AMD APM volume 3 for CLZERO, MONITORX and the rest of AMD's
 * own. What either leaves open is settled by tests/access_check. */
#include "templates.h"

#include <string.h>

#include "decode/x86/processor.h"
#include "registers.h"
#include "rules.h"

/* Exception classes in which a masked element makes no fault, and those that want the whole operand aligned. */
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

/* What the making of the templates is about. */
struct making {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operands;
    struct segue_insn *insn;
};

/* The next operand, all zeros but for its registers. */
static struct segue_memory_operand *add(struct segue_insn *insn)
{
    struct segue_memory_operand *memory = &insn->memory[insn->memory_count++];
    memory->base = memory->index = SEGUE_REGISTER_NONE;
    return memory;
}

static uint8_t register_number(ZydisRegister reg)
{
    struct register_place place;
    return register_find(reg, &place) ? place.number : SEGUE_REGISTER_NONE;
}

/* The segment in effect for an operand that Zydis does not know: DS or an override, which in 64-bit mode is FS or GS.
 */
static uint8_t segment_in_effect(const struct making *making)
{
    static const struct {
        uint8_t prefix, segment;
    } overrides[] = {{0x26, SEGUE_SEGMENT_ES}, {0x2e, SEGUE_SEGMENT_CS}, {0x36, SEGUE_SEGMENT_SS},
                     {0x3e, SEGUE_SEGMENT_DS}, {0x64, SEGUE_SEGMENT_FS}, {0x65, SEGUE_SEGMENT_GS}};
    uint8_t segment = SEGUE_SEGMENT_DS;
    for (size_t i = 0; i < making->instruction->raw.prefix_count; i++)
        for (size_t j = 0; j < sizeof overrides / sizeof *overrides; j++)
            if (making->instruction->raw.prefixes[i].value == overrides[j].prefix &&
                (making->insn->mode == SEGUE_MODE_32 || overrides[j].segment >= SEGUE_SEGMENT_FS))
                segment = overrides[j].segment;
    return segment;
}

static struct segue_memory_operand *add_at(const struct making *making, uint8_t base, uint8_t direction, uint16_t size)
{
    struct segue_memory_operand *memory = add(making->insn);
    memory->segment = segment_in_effect(making);
    memory->base = base;
    memory->direction = direction;
    memory->size = size;
    memory->element = (uint8_t)size;
    return memory;
}

static uint8_t element_of(const ZydisDecodedOperand *operand)
{
    /* An environment or an image of x87 state is bytes; far pointers and extended reals are one thing. */
    static const bool is_one[] = {[1] = true, [2] = true, [4] = true, [6] = true, [8] = true, [10] = true, [16] = true};
    unsigned element = operand->element_size / 8;
    return (uint8_t)(element < sizeof is_one && is_one[element] ? element : 1);
}

/* The operand as Zydis gives it. */
static struct segue_memory_operand *add_plain(const struct making *making, const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;
    struct segue_memory_operand *memory = add(making->insn);
    memory->segment = segments[mem->segment - ZYDIS_REGISTER_ES];
    memory->base = register_number(mem->base);
    if (mem->type == ZYDIS_MEMOP_TYPE_VSIB) {
        memory->addressing = SEGUE_ADDRESSING_VECTOR;
        memory->index = (uint8_t)ZydisRegisterGetId(mem->index);
        memory->scale = mem->scale;
    } else {
        memory->index = register_number(mem->index);
        memory->scale = mem->index != ZYDIS_REGISTER_NONE ? mem->scale : 0;
    }
    memory->direction = (uint8_t)(((operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ? SEGUE_READ : 0) |
                                  ((operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ? SEGUE_WRITE : 0));
    memory->size = (uint16_t)(operand->size / 8);
    memory->element = element_of(operand);
    memory->displacement = mem->disp.has_displacement ? mem->disp.value : 0;
    if (making->insn->flags & SEGUE_INSN_LOCKED)
        memory->flags |= SEGUE_ACCESS_ATOMIC;
    return memory;
}

/* Alignment, of operands that are a vector wide: legacy encodings want 16 bytes, the aligned moves of the others all.
 */
static void align(const struct making *making, struct segue_memory_operand *memory)
{
    const ZydisDecodedInstruction *instruction = making->instruction;
    if (memory->size >= 16 && memory->size <= 64 && aligns[instruction->meta.exception_class])
        memory->alignment = (uint8_t)memory->size;
}

/* An EVEX opmask that chooses the elements. */
static void mask(const struct making *making, struct segue_memory_operand *memory)
{
    static const uint8_t broadcast_lanes[] = {
        [ZYDIS_BROADCAST_MODE_1_TO_2] = 2,   [ZYDIS_BROADCAST_MODE_1_TO_4] = 4,   [ZYDIS_BROADCAST_MODE_1_TO_8] = 8,
        [ZYDIS_BROADCAST_MODE_1_TO_16] = 16, [ZYDIS_BROADCAST_MODE_1_TO_32] = 32, [ZYDIS_BROADCAST_MODE_1_TO_64] = 64,
        [ZYDIS_BROADCAST_MODE_2_TO_4] = 4,   [ZYDIS_BROADCAST_MODE_2_TO_8] = 8,   [ZYDIS_BROADCAST_MODE_2_TO_16] = 16,
        [ZYDIS_BROADCAST_MODE_4_TO_8] = 8,   [ZYDIS_BROADCAST_MODE_4_TO_16] = 16, [ZYDIS_BROADCAST_MODE_8_TO_16] = 16,
    };
    const ZydisDecodedInstruction *instruction = making->instruction;
    ZydisRegister reg = instruction->avx.mask.reg;
    if (instruction->encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || reg == ZYDIS_REGISTER_NONE ||
        reg == ZYDIS_REGISTER_K0 || memory->element == 0)
        return;
    /* A store leaves out what is masked whatever its class, but in some it faults for that too. */
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

/* Changes what Zydis gave. `argument` is the rule's own. */
typedef void mender(const struct making *making, const ZydisDecodedOperand *operand,
                    struct segue_memory_operand *memory, unsigned argument);

static void mend_size(const struct making *making, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned size)
{
    (void)making, (void)operand;
    memory->size = (uint16_t)size;
    memory->element = (uint8_t)size;
}

/* An alignment of 0 bytes takes one away. */
static void mend_alignment(const struct making *making, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory, unsigned alignment)
{
    (void)making, (void)operand;
    memory->alignment = (uint8_t)alignment;
}

/* One thing of `size` bytes, aligned to its size. */
static void mend_one(const struct making *making, const ZydisDecodedOperand *operand,
                     struct segue_memory_operand *memory, unsigned size)
{
    (void)making, (void)operand;
    memory->element = memory->alignment = (uint8_t)size;
}

/* AMD's processors do not ask for alignment here, though its manual does (docs/facts.md). */
static void mend_sha(const struct making *making, const ZydisDecodedOperand *operand,
                     struct segue_memory_operand *memory, unsigned argument)
{
    (void)making, (void)operand, (void)argument;
    if (processor_is_amd())
        memory->alignment = 0;
}

static bool is_segment_register(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value >= ZYDIS_REGISTER_ES &&
           operand->reg.value <= ZYDIS_REGISTER_GS;
}

/* In 32-bit mode some processors store a pushed selector alone and leave the upper half of its place as it was. */
static void split_selector(const struct making *making, struct segue_memory_operand *memory)
{
    struct segue_memory_operand *upper = add(making->insn);
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

/* Zydis names the stack pointer as it is before; the processor moves it before it stores. More than one element is
 * pushed highest first. */
static void mend_stack(const struct making *making, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned addressing)
{
    if (operand->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        return;
    memory->addressing = (uint8_t)addressing;
    memory->element = (uint8_t)(making->instruction->operand_width / 8);
    if (memory->element > memory->size || memory->size % memory->element != 0)
        memory->element = (uint8_t)memory->size;
    if (memory->direction != SEGUE_WRITE)
        return;
    memory->displacement -= memory->size;
    if (memory->size > memory->element)
        memory->flags |= SEGUE_ACCESS_DOWN;
}

/* Some vector instructions have the same names. */
static bool is_string(const ZydisDecodedInstruction *instruction)
{
    return instruction->meta.category == ZYDIS_CATEGORY_STRINGOP ||
           instruction->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

static void mend_string(const struct making *making, const ZydisDecodedOperand *operand,
                        struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    if (!is_string(making->instruction))
        return;
    memory->addressing = (uint8_t)addressing;
    if (making->insn->flags & SEGUE_INSN_REPEATED)
        memory->flags |= SEGUE_ACCESS_REPEATED;
    if (making->insn->flags & SEGUE_INSN_CONDITIONAL)
        memory->flags |= SEGUE_ACCESS_UNTIL;
}

/* CMPS reads its destination before its source; Zydis names it after that (docs/facts.md). The vector instruction of
 * the same name has one operand in memory. */
static void mend_compare(const struct making *making, const ZydisDecodedOperand *operand,
                         struct segue_memory_operand *memory, unsigned addressing)
{
    struct segue_memory_operand *first = &making->insn->memory[0], other;
    mend_string(making, operand, memory, addressing);
    if (!is_string(making->instruction))
        return;
    other = *first;
    *first = *memory;
    *memory = other;
}

/* POP computes the address of its operand after it has moved the stack pointer. */
static void mend_pop(const struct making *making, const ZydisDecodedOperand *operand,
                     struct segue_memory_operand *memory, unsigned argument)
{
    (void)making, (void)operand, (void)argument;
    if (memory->base == SEGUE_RSP)
        memory->displacement += memory->size;
}

/* Far returns: AMD's processors read the words whole, Intel's of a selector only its two bytes, before the offset
 * (docs/facts.md). */
static void mend_far_return(const struct making *making, const ZydisDecodedOperand *operand,
                            struct segue_memory_operand *memory, unsigned addressing)
{
    mend_stack(making, operand, memory, addressing);
    if (memory->addressing != addressing || processor_is_amd())
        return;
    struct segue_memory_operand *offset = add(making->insn);
    *offset = *memory;
    offset->size = offset->element;
    memory->displacement += memory->element;
    memory->size = memory->element = 2;
}

/* In 64-bit mode the stack pointer is popped too, whatever the privilege; in 32-bit mode not within one level. Whether
 * the words are read whole is as in far returns. */
static void mend_interrupt_return(const struct making *making, const ZydisDecodedOperand *operand,
                                  struct segue_memory_operand *memory, unsigned addressing)
{
    mend_stack(making, operand, memory, addressing);
    memory->element = (uint8_t)(making->instruction->operand_width / 8);
    memory->size = (uint16_t)(memory->element * (making->insn->mode == SEGUE_MODE_64 ? 5 : 3));
    memory->lanes = 1;
    if (!processor_is_amd())
        memory->lanes = (uint8_t)(memory->size / memory->element);
}

static void mend_enter(const struct making *making, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    memory->addressing = (uint8_t)addressing;
    memory->direction = SEGUE_READ | SEGUE_WRITE;
    memory->displacement = (int64_t)making->operands[0].imm.value.u;
    memory->lanes = making->operands[1].imm.value.u % 32;
}

static void mend_xlat(const struct making *making, const ZydisDecodedOperand *operand,
                      struct segue_memory_operand *memory, unsigned addressing)
{
    (void)making, (void)operand;
    memory->addressing = (uint8_t)addressing;
    memory->index = SEGUE_RAX;
}

static void mend_bit_offset(const struct making *making, const ZydisDecodedOperand *operand,
                            struct segue_memory_operand *memory, unsigned addressing)
{
    (void)operand;
    if (making->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
        return;
    memory->addressing = (uint8_t)addressing;
    memory->mask = register_number(making->operands[1].reg.value);
}

/* The mask is the second operand; `element` is 0 where Zydis has the elements right. */
static void mend_signs(const struct making *making, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned element)
{
    (void)operand;
    ZydisRegister reg = making->operands[1].reg.value;
    bool mmx = ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_MMX;
    if (element)
        memory->element = (uint8_t)element;
    memory->alignment = 0;
    memory->masking = mmx ? SEGUE_MASKING_MMX_SIGN_BITS : SEGUE_MASKING_SIGN_BITS;
    memory->mask = (uint8_t)ZydisRegisterGetId(reg);
    memory->lanes = (uint8_t)(memory->size / memory->element);
    memory->flags |= SEGUE_ACCESS_MASKED;
    /* MASKMOVQ and MASKMOVDQU may fault for any byte of their operand, whatever the mask. */
    if (memory->element == 1)
        memory->probe = SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL;
}

static unsigned register_size(ZydisRegister reg)
{
    return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8;
}

/* Gathers and scatters: as many lanes as both the data and the indices have. */
static void mend_vector(const struct making *making, const ZydisDecodedOperand *operand,
                        struct segue_memory_operand *memory, unsigned index_size)
{
    bool evex = making->instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    const ZydisDecodedOperand *data = &making->operands[memory->direction == SEGUE_READ ? 0 : 2];
    unsigned data_lanes = register_size(data->reg.value) / memory->element;
    unsigned index_lanes = register_size(operand->mem.index) / index_size;
    memory->lanes = (uint8_t)(data_lanes < index_lanes ? data_lanes : index_lanes);
    memory->index_size = (uint8_t)index_size;
    memory->flags |= SEGUE_ACCESS_MASKED;
    memory->masking = evex ? SEGUE_MASKING_OPMASK : SEGUE_MASKING_SIGN_BITS;
    memory->mask = evex ? (uint8_t)(making->instruction->avx.mask.reg - ZYDIS_REGISTER_K0)
                        : (uint8_t)ZydisRegisterGetId(making->operands[2].reg.value);
}

/* Without a mask all elements are there. */
static void mend_compressed(const struct making *making, const ZydisDecodedOperand *operand,
                            struct segue_memory_operand *memory, unsigned addressing)
{
    (void)making, (void)operand;
    if (memory->masking != SEGUE_MASKING_NONE)
        memory->addressing = (uint8_t)addressing;
}

/* The whole operand is one element; it takes any one of `lanes` bits. */
static void mend_one_element(const struct making *making, const ZydisDecodedOperand *operand,
                             struct segue_memory_operand *memory, unsigned lanes)
{
    (void)making, (void)operand;
    memory->element = (uint8_t)memory->size;
    if (memory->masking != SEGUE_MASKING_NONE)
        memory->lanes = (uint8_t)lanes;
}

/* Two of Zydis' elements are one lane. */
static void mend_pairs(const struct making *making, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned element)
{
    (void)operand;
    memory->element = (uint8_t)element;
    if (memory->masking != SEGUE_MASKING_NONE && !making->instruction->avx.broadcast.mode)
        memory->lanes = (uint8_t)(memory->size / element);
}

static void mend_not_masked(const struct making *making, const ZydisDecodedOperand *operand,
                            struct segue_memory_operand *memory, unsigned argument)
{
    (void)making, (void)operand, (void)argument;
    memory->masking = SEGUE_MASKING_NONE;
    memory->flags &= (uint8_t)~SEGUE_ACCESS_MASKED;
}

static void mend_state(const struct making *making, const ZydisDecodedOperand *operand,
                       struct segue_memory_operand *memory, unsigned area)
{
    (void)making, (void)operand;
    memory->addressing = SEGUE_ADDRESSING_STATE;
    memory->size = 0;
    memory->lanes = (uint8_t)area;
    memory->element = 1;
    memory->alignment = 64;
}

/* The destination's address is in the first operand, and its segment is always ES. Zydis gives that of ENQCMD not at
 * all, and that of MOVDIR64B among the hidden operands, in the wrong segment. */
static void mend_direct_store(const struct making *making, const ZydisDecodedOperand *operand,
                              struct segue_memory_operand *memory, unsigned size)
{
    (void)operand;
    struct segue_memory_operand *target = add(making->insn);
    target->segment = SEGUE_SEGMENT_ES;
    target->base = register_number(making->operands[0].reg.value);
    target->direction = SEGUE_WRITE;
    target->size = (uint16_t)size;
    memory->element = target->element = target->alignment = (uint8_t)size;
    target->flags = SEGUE_ACCESS_ATOMIC;
}

static const struct {
    mender *mend;
    uint8_t argument;
} menders[RULE_REFUSED] = {
    [RULE_BYTE] = {mend_size, 1},
    [RULE_STACK] = {mend_stack, SEGUE_ADDRESSING_STACK},
    [RULE_FAR_RETURN] = {mend_far_return, SEGUE_ADDRESSING_STACK},
    [RULE_STRING] = {mend_string, SEGUE_ADDRESSING_STRING},
    [RULE_COMPARE] = {mend_compare, SEGUE_ADDRESSING_STRING},
    [RULE_POP] = {mend_pop, 0},
    [RULE_POP_ALL] = {mend_stack, SEGUE_ADDRESSING_POP_ALL},
    [RULE_INTERRUPT_RETURN] = {mend_interrupt_return, SEGUE_ADDRESSING_INTERRUPT_RETURN},
    [RULE_ENTER] = {mend_enter, SEGUE_ADDRESSING_ENTER},
    [RULE_XLAT] = {mend_xlat, SEGUE_ADDRESSING_TABLE},
    [RULE_BIT_OFFSET] = {mend_bit_offset, SEGUE_ADDRESSING_BIT_OFFSET},
    [RULE_SIGNS] = {mend_signs, 0},
    [RULE_SIGNS_OF_BYTES] = {mend_signs, 1},
    [RULE_VECTOR_DOUBLEWORDS] = {mend_vector, 4},
    [RULE_VECTOR_QUADWORDS] = {mend_vector, 8},
    [RULE_COMPRESSED] = {mend_compressed, SEGUE_ADDRESSING_COMPRESSED},
    [RULE_ONE_OF_SIXTEEN] = {mend_one_element, 16},
    [RULE_ONE_OF_ONE] = {mend_one_element, 1},
    [RULE_PAIRS] = {mend_pairs, 4},
    [RULE_NOT_MASKED] = {mend_not_masked, 0},
    [RULE_UNALIGNED] = {mend_alignment, 0},
    [RULE_ALIGNED_16] = {mend_alignment, 16},
    [RULE_WHOLE_16] = {mend_one, 16},
    [RULE_SHA] = {mend_sha, 0},
    [RULE_XSAVE] = {mend_state, SEGUE_STATE_XSAVE},
    [RULE_XSAVEOPT] = {mend_state, SEGUE_STATE_XSAVEOPT},
    [RULE_XSAVEC] = {mend_state, SEGUE_STATE_XSAVEC},
    [RULE_XRSTOR] = {mend_state, SEGUE_STATE_XRSTOR},
    [RULE_DIRECT_STORE] = {mend_direct_store, 64},
};

/* The element on the stack of what pushes or pops one. Zydis has it among the hidden operands, which take longer to
 * decode than all the rest. */
static struct segue_memory_operand *add_on_stack(const struct making *making, uint8_t base, uint8_t direction)
{
    struct segue_memory_operand *memory = add_at(making, base, direction, making->instruction->operand_width / 8);
    memory->segment = SEGUE_SEGMENT_SS;
    memory->addressing = SEGUE_ADDRESSING_STACK;
    return memory;
}

static void push(const struct making *making)
{
    struct segue_memory_operand *memory = add_on_stack(making, SEGUE_RSP, SEGUE_WRITE);
    memory->displacement = -(int64_t)memory->size;
    if (making->insn->mode == SEGUE_MODE_32 && memory->size == 4 && making->instruction->operand_count_visible > 0 &&
        is_segment_register(&making->operands[0]))
        split_selector(making, memory);
}

/* The operands that Zydis does not list, or that are not decoded, and are accessed before all others. */
static void add_unlisted_first(const struct making *making, enum rule rule)
{
    if (rule == RULE_POP)
        add_on_stack(making, SEGUE_RSP, SEGUE_READ);
    else if (rule == RULE_LEAVE)
        add_on_stack(making, SEGUE_RBP, SEGUE_READ);
}

/* Those that are accessed after them. */
static void add_unlisted(const struct making *making, enum rule rule)
{
    struct segue_memory_operand *memory;
    switch (rule) {
    case RULE_PUSH:
        push(making);
        break;
    case RULE_BYTE_AT_RAX:
        add_at(making, SEGUE_RAX, SEGUE_READ, 1);
        break;
    case RULE_BYTE_AT_REGISTER:
        add_at(making, register_number(making->operands[0].reg.value), SEGUE_READ, 1);
        break;
    case RULE_LINE_AT_RAX:
        memory = add_at(making, SEGUE_RAX, SEGUE_WRITE, 64);
        memory->addressing = SEGUE_ADDRESSING_CACHE_LINE;
        break;
    case RULE_USER_INTERRUPT_RETURN:
        memory = add_at(making, SEGUE_RSP, SEGUE_READ, 24);
        memory->addressing = SEGUE_ADDRESSING_STACK;
        memory->segment = SEGUE_SEGMENT_SS;
        memory->element = 8;
        break;
    default:
        break;
    }
}

static void add_listed(const struct making *making, const ZydisDecodedOperand *operand, enum rule rule)
{
    if (making->insn->memory_count == SEGUE_MEMORY_OPERANDS)
        return;
    struct segue_memory_operand *memory = add_plain(making, operand);
    align(making, memory);
    mask(making, memory);
    if (menders[rule].mend)
        menders[rule].mend(making, operand, memory, menders[rule].argument);
}

static bool is_accessed(const ZydisDecodedOperand *operand)
{
    return (operand->type == ZYDIS_OPERAND_TYPE_MEMORY) & (operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN) &
           (operand->actions != 0);
}

/* What is only read comes first, as it does on the processor. */
static void add_all_listed(const struct making *making, enum rule rule)
{
    const ZydisDecodedOperand *listed[ZYDIS_MAX_OPERAND_COUNT + 1];
    size_t count = 0;
    for (size_t i = 0; i < making->instruction->operand_count; i++) {
        listed[count] = &making->operands[i];
        count += is_accessed(&making->operands[i]);
    }
    if (count > SEGUE_MEMORY_OPERANDS)
        count = SEGUE_MEMORY_OPERANDS;
    bool swapped = count == 2 && (listed[0]->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
                   !(listed[1]->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    for (size_t i = 0; i < count; i++)
        add_listed(making, listed[swapped ? 1 - i : i], rule);
}

bool templates_need_hidden(const ZydisDecodedInstruction *instruction)
{
    static const bool hidden[UINT8_MAX + 1] = {
        [RULE_STACK] = true,   [RULE_POP_ALL] = true,          [RULE_ENTER] = true,
        [RULE_XLAT] = true,    [RULE_INTERRUPT_RETURN] = true, [RULE_STRING] = true,
        [RULE_COMPARE] = true, [RULE_SIGNS_OF_BYTES] = true,   [RULE_FAR_RETURN] = true,
    };
    return hidden[rule_of(instruction)];
}

void templates_make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                    struct segue_insn *insn)
{
    const struct making making = {.instruction = instruction, .operands = operands, .insn = insn};
    enum rule rule = rule_of(instruction);
    if (rule > RULE_REFUSED) {
        insn->unlisted = (uint8_t)(rule - RULE_REFUSED);
        return;
    }
    if (rule == RULE_NO_ACCESS)
        return;
    add_unlisted_first(&making, rule);
    add_all_listed(&making, rule);
    add_unlisted(&making, rule);
}
