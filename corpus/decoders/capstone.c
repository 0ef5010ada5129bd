/* capstone.c: Capstone's answer to a row. */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoders.h"
#include "names.h"

struct corpus_capstone {
    csh handle;
    cs_insn *insn;
};

static uint16_t registers[X86_REG_ENDING];

/* Capstone 4.0.2 sorts a table of implicit registers when it first needs it, without a lock: another thread that reads
 * the table meanwhile gets wrong registers. So this makes Capstone need the table before there are threads; the same
 * holds for its tables of instructions. */
static void fill_tables(void)
{
    static const uint8_t code[CORPUS_SLOT_BYTES] = {0xe4, 0x01, 0xa5, 0x91, 0x0f, 0x01,
                                                    0xc8, 0xf3, 0x0f, 0x10, 0x00, 0x90};
    struct corpus_capstone *capstone = corpus_capstone_open();
    const uint8_t *at = code;
    size_t left = sizeof code;
    uint64_t address = 0;
    while (capstone && cs_disasm_iter(capstone->handle, &at, &left, &address, capstone->insn))
        ;
    corpus_capstone_close(capstone);
}

void corpus_capstone_prepare(void)
{
    csh handle;
    fill_tables();
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return;
    for (unsigned i = 1; i < X86_REG_ENDING; i++) {
        const char *text = cs_reg_name(handle, i);
        registers[i] = text ? corpus_names_register(text, strlen(text)) : 0;
    }
    cs_close(&handle);
}

struct corpus_capstone *corpus_capstone_open(void)
{
    struct corpus_capstone *capstone = calloc(1, sizeof *capstone);
    if (!capstone || cs_open(CS_ARCH_X86, CS_MODE_64, &capstone->handle) != CS_ERR_OK) {
        free(capstone);
        return NULL;
    }
    cs_option(capstone->handle, CS_OPT_DETAIL, CS_OPT_ON);
    capstone->insn = cs_malloc(capstone->handle);
    return capstone;
}

void corpus_capstone_close(struct corpus_capstone *capstone)
{
    if (!capstone)
        return;
    cs_free(capstone->insn, 1);
    cs_close(&capstone->handle);
    free(capstone);
}

bool corpus_capstone_decode(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES])
{
    size_t size = CORPUS_SLOT_BYTES;
    uint64_t address = 0;
    return cs_disasm_iter(capstone->handle, &slot, &size, &address, capstone->insn);
}

static void memory_operand(const cs_x86_op *from, struct corpus_operand *to)
{
    const x86_op_mem *mem = &from->mem;
    to->kind = CORPUS_OPERAND_MEMORY;
    to->reg = registers[mem->base];
    to->index = registers[mem->index];
    to->scale = to->index ? (uint8_t)mem->scale : 0;
    to->value = mem->disp;
    to->size = from->size;
    to->broadcast = from->avx_bcast != X86_AVX_BCAST_INVALID;
    to->direction = (uint8_t)(((from->access & CS_AC_READ) ? 1 : 0) | ((from->access & CS_AC_WRITE) ? 2 : 0));
    if (mem->segment == X86_REG_FS || mem->segment == X86_REG_GS)
        to->segment = registers[mem->segment];
}

static bool is_mask(const cs_x86_op *operand, const char *text)
{
    return operand->type == X86_OP_REG && operand->reg >= X86_REG_K0 && operand->reg <= X86_REG_K7 && strchr(text, '{');
}

static void add_operand(const cs_insn *insn, size_t number, struct corpus_answer *answer)
{
    const cs_x86_op *from = &insn->detail->x86.operands[number];
    struct corpus_operand *to = &answer->operands[answer->operand_count];
    if (number > 0 && is_mask(from, insn->op_str)) {
        answer->mask = from->reg == X86_REG_K0 ? 0 : registers[from->reg];
        return;
    }
    if (answer->operand_count == CORPUS_OPERANDS)
        return;
    memset(to, 0, sizeof *to);
    if (from->type == X86_OP_MEM) {
        memory_operand(from, to);
    } else if (from->type == X86_OP_IMM) {
        to->kind = CORPUS_OPERAND_IMMEDIATE;
        to->value = from->imm;
    } else {
        to->kind = CORPUS_OPERAND_REGISTER;
        to->reg = registers[from->reg];
    }
    answer->operand_count++;
}

static uint8_t rounding_of(const cs_x86 *x86)
{
    static const uint8_t roundings[] = {
        [X86_AVX_RM_RN] = CORPUS_ROUNDING_NEAREST,
        [X86_AVX_RM_RD] = CORPUS_ROUNDING_DOWN,
        [X86_AVX_RM_RU] = CORPUS_ROUNDING_UP,
        [X86_AVX_RM_RZ] = CORPUS_ROUNDING_ZERO,
    };
    if (x86->avx_rm)
        return roundings[x86->avx_rm];
    return x86->avx_sae ? CORPUS_ROUNDING_SAE : CORPUS_ROUNDING_NONE;
}

/* The mnemonic's entry, found by Capstone's text: Capstone's numbers do not distinguish "cmpleps" from "cmpltps".
 * Prefixes come before it. */
static const struct corpus_name *name_of(const cs_insn *insn)
{
    const char *space = strrchr(insn->mnemonic, ' '), *word = space ? space + 1 : insn->mnemonic;
    return corpus_names_find(word, strlen(word));
}

/* Branch targets are immediates of instructions in the jump or call group; the row stands at address 0. */
static void mark_targets(const cs_insn *insn, struct corpus_answer *answer)
{
    for (size_t i = 0; i < insn->detail->groups_count; i++) {
        if (insn->detail->groups[i] != CS_GRP_BRANCH_RELATIVE)
            continue;
        for (size_t j = 0; j < answer->operand_count; j++)
            if (answer->operands[j].kind == CORPUS_OPERAND_IMMEDIATE)
                answer->operands[j].kind = CORPUS_OPERAND_TARGET;
    }
}

/* String instructions are compared by their memory alone, as Zydis' are. */
static void drop_registers_of_strings(const cs_insn *insn, struct corpus_answer *answer)
{
    uint8_t kept = 0;
    uint8_t opcode = insn->detail->x86.opcode[0];
    if (!((opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf) ||
          (opcode >= 0x6c && opcode <= 0x6f)))
        return;
    for (size_t i = 0; i < answer->operand_count; i++)
        if (answer->operands[i].kind == CORPUS_OPERAND_MEMORY)
            answer->operands[kept++] = answer->operands[i];
    answer->operand_count = kept;
}

void corpus_capstone_answer(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES],
                            struct corpus_answer *answer)
{
    const cs_insn *insn = capstone->insn;
    answer->status = CORPUS_REFUSED;
    answer->operand_count = answer->zeroing = answer->rounding = 0;
    answer->mask = 0;
    answer->text_length = 0;
    if (!corpus_capstone_decode(capstone, slot))
        return;
    answer->status = CORPUS_ACCEPTED;
    answer->length = (uint8_t)insn->size;
    const struct corpus_name *name = name_of(insn);
    answer->mnemonic = name ? name->number : CORPUS_MNEMONIC_UNKNOWN;
    answer->rounding = rounding_of(&insn->detail->x86);
    /* The flag among the details is not set for every instruction that has it. */
    answer->zeroing = strstr(insn->op_str, "{z}") != NULL;
    for (size_t i = 0; i < insn->detail->x86.op_count; i++)
        add_operand(insn, i, answer);
    if (name && name->immediate >= 0 && answer->operand_count < CORPUS_OPERANDS)
        answer->operands[answer->operand_count++] =
            (struct corpus_operand){.kind = CORPUS_OPERAND_IMMEDIATE, .value = name->immediate};
    mark_targets(insn, answer);
    drop_registers_of_strings(insn, answer);
}

void corpus_capstone_text(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES], char *text,
                          size_t size)
{
    text[0] = 0;
    if (corpus_capstone_decode(capstone, slot))
        snprintf(text, size, "%s %s", capstone->insn->mnemonic, capstone->insn->op_str);
}

void corpus_capstone_version(char *text, size_t size)
{
    int major, minor;
    cs_version(&major, &minor);
    snprintf(text, size, "%d.%d", major, minor);
}
