/* displaced.c: writes displaced instructions (see displaced.h).
 *
 * SOURCES: Intel SDM volume 2, 2.1.3 (addressing forms), 2.2.1 (REX: without effect if a prefix follows it), 2.2.1.6
 * (RIP-relative), table 2-5 (the special cases of RBP, R13, RSP and R12). ASSUMPTIONS: of a repeated legacy prefix only
 * the last one counts, and 26h, 2Eh, 36h and 3Eh do nothing in 64-bit mode but before a branch. */
#include "displaced.h"

#include <string.h>

#include "decode/encoding.h"
#include "output.h"

/* Three bits in SIB. */
#define BASE_NONE 5u
#define INDEX_NONE 4u

static bool fits(int64_t value, unsigned size)
{
    return size == 1 ? value == (int8_t)value : value == (int32_t)value;
}

/* The 32-bit displacement that leads from `next`, the address of the next instruction, to `target`. False if there is
 * none. */
static bool reach(uint64_t target, uint64_t next, unsigned address_size, int64_t *displacement)
{
    *displacement = (int64_t)(target - next);
    if (address_size == 4)
        *displacement = (int32_t)*displacement;
    return fits(*displacement, 4);
}

/* ---- the instruction with another operand ------------------------------------------------------------------------ */

/* The new ModRM, SIB and displacement. */
struct address {
    uint8_t modrm, sib;
    bool has_sib;
    uint8_t size;
    int64_t displacement;
};

static bool is_branch(const struct displaceable *form)
{
    return form->flow != DISPLACED_FLOW_NEXT;
}

/* A REX counts only right before the opcode. A null segment prefix of a branch may have a meaning (NOTRACK). */
static bool is_idle_prefix(const struct displaceable *form, unsigned place)
{
    uint8_t byte = form->bytes[place];
    if (encoding_is_rex(byte))
        return place + 1u != form->opcode;
    if (encoding_is_null_segment(byte) && !is_branch(form))
        return true;
    for (unsigned i = place + 1; i < form->opcode; i++)
        if (form->bytes[i] == byte)
            return true;
    return false;
}

static void put_head(const struct displaceable *form, unsigned end, bool drops_idle, struct output *output)
{
    for (unsigned i = 0; i < end; i++)
        if (!drops_idle || i >= form->opcode || !is_idle_prefix(form, i))
            output_byte(output, form->bytes[i]);
}

static void put_all(const struct displaceable *form, const struct address *address, bool drops_idle,
                    struct output *output)
{
    put_head(form, form->modrm, drops_idle, output);
    output_byte(output, address->modrm);
    if (address->has_sib)
        output_byte(output, address->sib);
    output_value(output, (uint64_t)address->displacement, address->size);
    output_copy(output, form->bytes, form->tail, form->length);
}

/* Prefixes without effect are left out only where the instruction would be too long with them. */
static bool assemble(const struct displaceable *form, const struct address *address, uint8_t *out, uint8_t *length)
{
    for (unsigned drops_idle = 0; drops_idle < 2; drops_idle++) {
        struct output output = {out, 0};
        put_all(form, address, drops_idle, &output);
        *length = (uint8_t)output.length;
        if (output.length <= SEGUE_INSN_BYTES)
            return true;
    }
    return false;
}

static uint8_t with_mod(const struct displaceable *form, unsigned mod)
{
    return (uint8_t)((form->bytes[form->modrm] & 0x3f) | mod << 6);
}

static bool has_sib(const struct displaceable *form)
{
    return (form->bytes[form->modrm] & 7) == RM_SIB;
}

static bool is_constant(const struct displaceable *form)
{
    return form->memory.base == SEGUE_REGISTER_NONE && form->memory.index == SEGUE_REGISTER_NONE;
}

/* RIP-relative, for `to`. It never needs more bytes than the instruction has. */
static bool copy_relative(const struct displaceable *form, uint64_t target, uint64_t to, uint8_t *out, uint8_t *length)
{
    struct address address = {.modrm = (uint8_t)((with_mod(form, 0) & ~7u) | RM_NO_BASE), .size = 4};
    unsigned size = form->modrm + 1u + 4u + (form->length - form->tail);
    return reach(target, to + size, form->address_size, &address.displacement) && assemble(form, &address, out, length);
}

uint64_t displaced_constant(const struct displaceable *form)
{
    uint64_t address = (uint64_t)form->encoded;
    if (form->operand == DISPLACED_OPERAND_RELATIVE)
        address += form->address + form->length;
    return address;
}

/* Addresses of 32 bits wrap around. */
static int64_t add(const struct displaceable *form, int64_t displacement, int64_t by)
{
    uint64_t sum = (uint64_t)displacement + (uint64_t)by;
    return form->address_size == 4 ? (int32_t)sum : (int64_t)sum;
}

/* Without a base register: the displacement has 32 bits whatever its value. */
static bool copy_without_base(const struct displaceable *form, uint64_t to, int64_t displacement, uint8_t *out,
                              uint8_t *length)
{
    struct address address = {.modrm = with_mod(form, 0),
                              .sib = form->bytes[form->modrm + 1],
                              .has_sib = true,
                              .size = 4,
                              .displacement = displacement};
    if (!fits(displacement, 4))
        return is_constant(form) && form->memory.addressing != SEGUE_ADDRESSING_VECTOR &&
               copy_relative(form, (uint64_t)displacement, to, out, length);
    return assemble(form, &address, out, length);
}

static bool copy_with_base(const struct displaceable *form, int64_t displacement, uint8_t *out, uint8_t *length)
{
    unsigned base = (has_sib(form) ? form->bytes[form->modrm + 1] : form->bytes[form->modrm]) & 7;
    struct address address = {
        .sib = form->bytes[form->modrm + 1], .has_sib = has_sib(form), .displacement = displacement};
    if (displacement == 0 && base != BASE_NONE)
        address.size = 0;
    else if (!form->is_compressed && fits(displacement, 1))
        address.size = 1;
    else if (fits(displacement, 4))
        address.size = 4;
    else
        return false;
    address.modrm = with_mod(form, (address.size + 1u) / 2);
    return assemble(form, &address, out, length);
}

static bool copy_modrm(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length)
{
    int64_t displacement = add(form, form->encoded, by);
    bool without_base =
        form->bytes[form->modrm] >> 6 == 0 && has_sib(form) && (form->bytes[form->modrm + 1] & 7) == BASE_NONE;
    /* The sum of two distances may have wrapped around. */
    if (form->address_size == 8 && __builtin_add_overflow(form->encoded, by, &displacement))
        return false;
    return without_base ? copy_without_base(form, to, displacement, out, length)
                        : copy_with_base(form, displacement, out, length);
}

static bool copy_offset(const struct displaceable *form, int64_t by, uint8_t *out, uint8_t *length)
{
    struct output output = {out, 0};
    put_head(form, form->displacement, false, &output);
    output_value(&output, (uint64_t)form->encoded + (uint64_t)by, form->tail - form->displacement);
    *length = (uint8_t)output.length;
    return true;
}

static bool copy(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length)
{
    if (form->operand == DISPLACED_OPERAND_RELATIVE)
        return copy_relative(form, displaced_constant(form) + (uint64_t)by, to, out, length);
    if (by == 0) {
        memcpy(out, form->bytes, form->length);
        *length = form->length;
        return true;
    }
    if (form->operand == DISPLACED_OPERAND_MODRM)
        return copy_modrm(form, to, by, out, length);
    return form->operand == DISPLACED_OPERAND_OFFSET && copy_offset(form, by, out, length);
}

bool displaced_copy(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length)
{
    switch ((enum displaced_flow)form->flow) {
    case DISPLACED_FLOW_NEXT:
    case DISPLACED_FLOW_JUMP_INDIRECT:
    case DISPLACED_FLOW_RETURN:
        return copy(form, to, by, out, length);
    default:
        return false;
    }
}

bool displaced_in_place(const struct displaceable *form, int64_t by, uint8_t *out)
{
    uint8_t length;
    bool goes_on = form->flow == DISPLACED_FLOW_NEXT || form->flow == DISPLACED_FLOW_JUMP_INDIRECT ||
                   form->flow == DISPLACED_FLOW_CALL_INDIRECT;
    bool is_exact = (form->is_plain || form->is_masked) && form->memory.size && !form->is_recorded;
    bool has_constant = form->operand == DISPLACED_OPERAND_RELATIVE || is_constant(form);
    return goes_on && form->operand != DISPLACED_OPERAND_NONE && has_constant && is_exact &&
           copy(form, form->address, by, out, &length) && length == form->length;
}

bool displaced_call_as_jump(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length)
{
    struct displaceable jump = *form;
    if (form->flow != DISPLACED_FLOW_CALL_INDIRECT ||
        (form->operand == DISPLACED_OPERAND_NONE && (form->bytes[form->modrm] & 7) == 4 &&
         !(form->opcode > 0 && encoding_is_rex(form->bytes[form->opcode - 1]) &&
           (form->bytes[form->opcode - 1] & REX_B))))
        return false;
    /* FF /2 becomes FF /4. */
    jump.bytes[form->modrm] = (uint8_t)((form->bytes[form->modrm] & ~0x38u) | 4u << 3);
    jump.flow = DISPLACED_FLOW_JUMP_INDIRECT;
    return displaced_copy(&jump, to, by, out, length);
}

/* ---- the operand's address --------------------------------------------------------------------------------------- */

static void put_constant(uint64_t value, uint64_t to, unsigned reg, struct output *output)
{
    const unsigned lea_size = 7;
    int64_t displacement;
    if (reach(value, to + lea_size, 8, &displacement)) {
        output_byte(output, REX_64 | (reg >= 8 ? REX_R : 0));
        output_byte(output, 0x8d);
        output_byte(output, (reg & 7) << 3 | RM_NO_BASE);
        output_value(output, (uint64_t)displacement, 4);
        return;
    }
    output_byte(output, REX_64 | (reg >= 8 ? REX_B : 0));
    output_byte(output, 0xb8u | (reg & 7));
    output_value(output, value, 8);
}

static bool put_lea(const struct displaceable *form, int64_t displacement, unsigned reg, struct output *output)
{
    const struct segue_memory_operand *memory = &form->memory;
    bool has_base = memory->base != SEGUE_REGISTER_NONE, has_index = memory->index != SEGUE_REGISTER_NONE;
    unsigned base = has_base ? encoding_of(memory->base) : BASE_NONE;
    unsigned index = has_index ? encoding_of(memory->index) : INDEX_NONE;
    bool needs_sib = has_index || !has_base || (base & 7) == RM_SIB;
    unsigned size = !has_base ? 4 : displacement == 0 && (base & 7) != BASE_NONE ? 0 : fits(displacement, 1) ? 1 : 4;
    unsigned mod = has_base ? (size + 1) / 2 : 0;
    if (!fits(displacement, 4))
        return false;
    if (form->address_size == 4)
        output_byte(output, 0x67);
    output_byte(output,
                REX_64 | (reg >= 8 ? REX_R : 0) | (index >= 8 ? REX_X : 0) | (has_base && base >= 8 ? REX_B : 0));
    output_byte(output, 0x8d);
    output_byte(output, mod << 6 | (reg & 7) << 3 | (needs_sib ? RM_SIB : base & 7));
    if (needs_sib)
        output_byte(output, (unsigned)(memory->scale > 1 ? __builtin_ctz(memory->scale) : 0) << 6 | (index & 7) << 3 |
                                (base & 7));
    output_value(output, (uint64_t)displacement, size);
    return true;
}

bool displaced_lea(const struct displaceable *form, uint64_t to, int64_t by, uint8_t reg, uint8_t *out, uint8_t *length)
{
    struct output output = {out, 0};
    int64_t displacement;
    bool done = true;
    if (form->operand == DISPLACED_OPERAND_NONE || form->memory.addressing == SEGUE_ADDRESSING_VECTOR || reg > 15)
        return false;
    if (form->operand == DISPLACED_OPERAND_RELATIVE || is_constant(form)) {
        uint64_t value = displaced_constant(form) + (uint64_t)by;
        put_constant(form->address_size == 4 ? (uint32_t)value : value, to, encoding_of(reg), &output);
    } else if (form->address_size == 4) {
        done = put_lea(form, (int32_t)((uint64_t)form->memory.displacement + (uint64_t)by), encoding_of(reg), &output);
    } else {
        done = !__builtin_add_overflow(form->memory.displacement, by, &displacement) &&
               put_lea(form, displacement, encoding_of(reg), &output);
    }
    *length = (uint8_t)output.length;
    return done;
}
