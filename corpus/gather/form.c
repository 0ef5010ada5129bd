/* form.c: the form of an instruction, and a set that keeps a few rows of each form. */
#include "form.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/rows/shape.h"

/* The most rows kept of one form. */
#define MOST 4

struct corpus_form {
    /* 0 is a free place. */
    uint64_t key;
    uint8_t count;
    struct corpus_row rows[MOST];
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0xff51afd7ed558ccdu;
    return hash ^ (hash >> 31);
}

/* 0, 1, -1, the least, the most: the values that implementations are most likely to get wrong. */
static unsigned boundary(int64_t value, unsigned bits)
{
    if (bits == 0)
        return 0;
    int64_t most = (int64_t)(~0ull >> (65 - bits));
    if (value == 0)
        return 1;
    if (value == -1)
        return 2;
    if (value == most)
        return 3;
    return value == -most - 1 ? 4 : 5;
}

static uint64_t mix_modrm(uint64_t hash, const ZydisDecodedInstruction *instruction)
{
    const struct ZydisDecodedInstructionModRm_ *modrm = &instruction->raw.modrm;
    if (!(instruction->attributes & ZYDIS_ATTRIB_HAS_MODRM))
        return hash;
    unsigned rm = modrm->mod == 3 ? 0 : modrm->rm == 4 ? 1 : modrm->rm == 5 ? 2 : 3;
    hash = mix(hash, modrm->mod | rm << 2);
    if (modrm->mod == 3 || modrm->rm != 4)
        return hash;
    unsigned base = instruction->raw.sib.base, index = instruction->raw.sib.index;
    uint64_t special = (base == 4 ? 1u : 0u) | (base == 5 ? 2u : 0u) | (index == 4 ? 4u : 0u);
    return mix(hash, special | (uint64_t)instruction->raw.sib.scale << 3);
}

/* The encoding's own fields, each in a byte. */
static uint64_t mix_fields(uint64_t hash, const ZydisDecodedInstruction *instruction)
{
    const struct ZydisDecodedInstructionRaw_ *raw = &instruction->raw;
    uint8_t fields[8] = {0}, more[8] = {0};
    uint64_t first, second;
    switch (instruction->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
        memcpy(fields,
               (uint8_t[]){raw->vex.W, raw->vex.L, raw->vex.pp, raw->vex.R, raw->vex.X, raw->vex.B, raw->vex.size}, 7);
        break;
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
        memcpy(fields, (uint8_t[]){raw->xop.W, raw->xop.L, raw->xop.R, raw->xop.X, raw->xop.B}, 5);
        break;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
        memcpy(fields,
               (uint8_t[]){raw->evex.W, raw->evex.L2, raw->evex.L, raw->evex.b, raw->evex.z, raw->evex.aaa != 0,
                           raw->evex.pp},
               7);
        memcpy(more, (uint8_t[]){raw->evex.R, raw->evex.X, raw->evex.B, raw->evex.R2, raw->evex.V2}, 5);
        break;
    default:
        memcpy(fields,
               (uint8_t[]){raw->rex.W, raw->rex.R, raw->rex.X, raw->rex.B,
                           (instruction->attributes & ZYDIS_ATTRIB_HAS_REX) != 0},
               5);
    }
    memcpy(&first, fields, sizeof first);
    memcpy(&second, more, sizeof second);
    return mix(mix(hash, first), second);
}

uint64_t corpus_form_key(const struct corpus_zydis *zydis)
{
    const ZydisDecodedInstruction *instruction = &zydis->instruction;
    uint64_t hash =
        mix(mix(0, 1u + instruction->mnemonic),
            (uint64_t)instruction->encoding << 16 | (uint64_t)instruction->opcode_map << 8 | instruction->opcode);
    uint64_t prefixes = 0;
    for (size_t i = 0; i < instruction->raw.prefix_count; i++)
        prefixes = mix(prefixes, instruction->raw.prefixes[i].value);
    hash = mix(hash, prefixes);
    hash = mix(hash, (uint64_t)instruction->operand_width << 8 | instruction->address_width);
    hash = mix_modrm(hash, instruction);
    hash = mix_fields(hash, instruction);
    hash =
        mix(hash, instruction->raw.disp.size | boundary(instruction->raw.disp.value, instruction->raw.disp.size) << 8);
    for (size_t i = 0; i < 2; i++)
        hash = mix(hash, instruction->raw.imm[i].size |
                             boundary(instruction->raw.imm[i].value.s, instruction->raw.imm[i].size) << 8);
    return hash ? hash : 1;
}

uint64_t corpus_form_refused(const uint8_t slot[CORPUS_SLOT_BYTES])
{
    struct corpus_shape shape;
    ZydisDecoder decoder;
    struct corpus_zydis zydis;
    corpus_shape_read(slot, &shape);
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZyanStatus status = ZydisDecoderDecodeFull(&decoder, slot, CORPUS_SLOT_BYTES, &zydis.instruction, zydis.operands);
    uint64_t hash = mix(mix(0, status), (uint64_t)shape.encoding << 16 | (uint64_t)shape.map << 8 | shape.opcode);
    unsigned prefixes = shape.prefixes & (CORPUS_PREFIX_66 | CORPUS_PREFIX_F0 | CORPUS_PREFIX_F2 | CORPUS_PREFIX_F3);
    hash = mix(hash, prefixes | (uint64_t)(shape.mod == 3) << 16 | (uint64_t)shape.pp << 17 | (uint64_t)shape.w << 19);
    return hash ? hash : 1;
}

static struct corpus_form *place_of(const struct corpus_forms *forms, uint64_t key)
{
    size_t at = key & (forms->place_count - 1);
    while (forms->forms[at].key && forms->forms[at].key != key)
        at = (at + 1) & (forms->place_count - 1);
    return &forms->forms[at];
}

static bool grow(struct corpus_forms *forms)
{
    struct corpus_forms bigger = *forms;
    bigger.place_count = forms->place_count ? forms->place_count * 2 : 4096;
    bigger.forms = calloc(bigger.place_count, sizeof *bigger.forms);
    if (!bigger.forms)
        return false;
    for (size_t i = 0; i < forms->place_count; i++)
        if (forms->forms[i].key)
            *place_of(&bigger, forms->forms[i].key) = forms->forms[i];
    free(forms->forms);
    *forms = bigger;
    return true;
}

/* Shorter first, then by bytes. */
static int order(const struct corpus_row *left, const struct corpus_row *right)
{
    return left->length != right->length ? (int)left->length - (int)right->length
                                         : memcmp(left->bytes, right->bytes, left->length);
}

bool corpus_forms_add(struct corpus_forms *forms, uint64_t key, const struct corpus_row *row)
{
    unsigned most = forms->most && forms->most < MOST ? forms->most : MOST;
    if (2 * forms->count >= forms->place_count && !grow(forms))
        return false;
    struct corpus_form *form = place_of(forms, key);
    if (!form->key) {
        form->key = key;
        forms->count++;
    }
    size_t at = form->count;
    while (at > 0 && order(&form->rows[at - 1], row) > 0)
        at--;
    if (at == most || (at > 0 && order(&form->rows[at - 1], row) == 0))
        return true;
    if (form->count < most)
        form->count++;
    memmove(&form->rows[at + 1], &form->rows[at], (form->count - at - 1u) * sizeof *row);
    form->rows[at] = *row;
    return true;
}

bool corpus_forms_add_all(struct corpus_forms *forms, const struct corpus_forms *from)
{
    for (size_t i = 0; i < from->place_count; i++)
        for (size_t j = 0; j < from->forms[i].count; j++)
            if (!corpus_forms_add(forms, from->forms[i].key, &from->forms[i].rows[j]))
                return false;
    return true;
}

bool corpus_forms_rows(const struct corpus_forms *forms, struct corpus_rows *rows)
{
    for (size_t i = 0; i < forms->place_count; i++)
        for (size_t j = 0; j < forms->forms[i].count; j++)
            if (!corpus_rows_add(rows, &forms->forms[i].rows[j]))
                return false;
    return true;
}

void corpus_forms_free(struct corpus_forms *forms)
{
    free(forms->forms);
    forms->forms = NULL;
    forms->count = forms->place_count = 0;
}
