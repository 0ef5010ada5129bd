/* registered.c: re-encodes an instruction with its memory operand in a given register (see registered.h).
 *
 * SOURCES: Intel SDM volume 2, 2.1 (ModRM, SIB), 2.2.1 (REX; without it the registers 4 to 7 of byte operands are AH,
 * CH, DH and BH), 2.3 (VEX), 2.7 (EVEX); AMD APM volume 3, 1.2 (XOP). */
#include "registered.h"

#include "decode/encoding.h"
#include "decode/relocate/output.h"

#define VEX_MAP_0F 1u

/* Whether a register operand may be AH, CH, DH or BH, which a REX prefix would make another one. */
static bool may_use_high_byte(const struct displaceable *form)
{
    uint8_t first = form->bytes[form->opcode], second = form->bytes[form->opcode + 1], reg = form->bytes[form->modrm];
    if ((reg >> 3 & 7) < 4)
        return false;
    /* CMPXCHG and XADD; and the first table's instructions on bytes, of which those of immediates have no register. */
    return first == 0x0f ? second == 0xb0 || second == 0xc0 : !(first & 1) && form->memory.size == 1;
}

/* The prefixes and the opcode of the legacy encoding. */
static bool copy_legacy(const struct displaceable *form, bool is_extended, struct output *output)
{
    unsigned rex = 0;
    for (unsigned i = 0; i < form->opcode; i++) {
        uint8_t byte = form->bytes[i];
        if (encoding_is_rex(byte))
            rex = i + 1 == form->opcode ? byte : rex;
        else if (!encoding_is_null_segment(byte))
            output_byte(output, byte);
    }
    if (is_extended && !rex && may_use_high_byte(form))
        return false;
    if (rex || is_extended)
        output_byte(output, ((rex ? rex : REX) & ~(REX_B | REX_X)) | (is_extended ? REX_B : 0));
    output_copy(output, form->bytes, form->opcode, form->modrm);
    return true;
}

/* The prefix and opcode of VEX, EVEX and XOP. */
static void copy_vector(const struct displaceable *form, bool is_extended, struct output *output)
{
    const uint8_t *prefix = form->bytes + form->opcode;
    unsigned b = is_extended ? 0 : VECTOR_B, left = 2;
    for (unsigned i = 0; i < form->opcode; i++)
        if (!encoding_is_null_segment(form->bytes[i]))
            output_byte(output, form->bytes[i]);
    if (prefix[0] == VEX2) {
        output_byte(output, VEX3);
        output_byte(output, (prefix[1] & VECTOR_R) | VECTOR_X | b | VEX_MAP_0F);
        output_byte(output, prefix[1] & ~VECTOR_R);
    } else {
        output_byte(output, prefix[0]);
        output_byte(output, (prefix[1] & ~VECTOR_B) | VECTOR_X | b);
        output_byte(output, prefix[2]);
        left = 3;
    }
    output_copy(output, form->bytes, form->opcode + left, form->modrm);
}

static bool is_vector_prefix(const struct displaceable *form)
{
    uint8_t byte = form->bytes[form->opcode];
    return byte == VEX2 || byte == VEX3 || byte == EVEX || (byte == XOP && form->modrm - form->opcode == 4);
}

bool registered_copy(const struct displaceable *form, unsigned reg, uint8_t *out, uint8_t *length)
{
    unsigned low = encoding_of(reg) & 7;
    bool is_extended = reg >= 8;
    struct output output = {out, 0};
    if ((form->operand != DISPLACED_OPERAND_MODRM && form->operand != DISPLACED_OPERAND_RELATIVE) ||
        form->address_size != 8 || form->memory.addressing != SEGUE_ADDRESSING_PLAIN || !form->modrm)
        return false;
    if (is_vector_prefix(form))
        copy_vector(form, is_extended, &output);
    else if (!copy_legacy(form, is_extended, &output))
        return false;
    output_byte(&output, (form->bytes[form->modrm] & 0x38u) | low | (low == RM_NO_BASE ? 0x40 : 0));
    if (low == RM_SIB)
        output_byte(&output, 0x24);
    if (low == RM_NO_BASE)
        output_byte(&output, 0);
    output_copy(&output, form->bytes, form->tail, form->length);
    *length = (uint8_t)output.length;
    return output.length <= SEGUE_INSN_BYTES;
}
