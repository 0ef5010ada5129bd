/* operand.c: a memory operand in words, and as JSON. */
#include "operand.h"

#include <inttypes.h>

/* enum segue_register as an address of 8, 4 or 2 bytes names it. */
static const char *const names[][3] = {
    [SEGUE_RAX] = {"rax", "eax", "ax"},    [SEGUE_RBX] = {"rbx", "ebx", "bx"},    [SEGUE_RCX] = {"rcx", "ecx", "cx"},
    [SEGUE_RDX] = {"rdx", "edx", "dx"},    [SEGUE_RSI] = {"rsi", "esi", "si"},    [SEGUE_RDI] = {"rdi", "edi", "di"},
    [SEGUE_RBP] = {"rbp", "ebp", "bp"},    [SEGUE_RSP] = {"rsp", "esp", "sp"},    [SEGUE_R8] = {"r8", "r8d", "r8w"},
    [SEGUE_R9] = {"r9", "r9d", "r9w"},     [SEGUE_R10] = {"r10", "r10d", "r10w"}, [SEGUE_R11] = {"r11", "r11d", "r11w"},
    [SEGUE_R12] = {"r12", "r12d", "r12w"}, [SEGUE_R13] = {"r13", "r13d", "r13w"}, [SEGUE_R14] = {"r14", "r14d", "r14w"},
    [SEGUE_R15] = {"r15", "r15d", "r15w"}, [SEGUE_RIP] = {"rip", "eip", "ip"},
};

static const char *const segments[] = {
    [SEGUE_SEGMENT_ES] = "es", [SEGUE_SEGMENT_CS] = "cs", [SEGUE_SEGMENT_SS] = "ss",
    [SEGUE_SEGMENT_DS] = "ds", [SEGUE_SEGMENT_FS] = "fs", [SEGUE_SEGMENT_GS] = "gs",
};

static const char *const directions[] = {
    [0] = "touches",
    [SEGUE_READ] = "reads",
    [SEGUE_WRITE] = "writes",
    [SEGUE_READ | SEGUE_WRITE] = "reads and writes",
};

static unsigned direction_of(const struct segue_memory_operand *operand)
{
    return operand->direction & (SEGUE_READ | SEGUE_WRITE);
}

/* NULL for no register. */
static const char *register_name(unsigned number, unsigned address_size)
{
    if (number >= sizeof names / sizeof *names)
        return NULL;
    return names[number][address_size == 8 ? 0 : address_size == 4 ? 1 : 2];
}

static uint64_t cut(uint64_t address, unsigned address_size)
{
    return address_size == 8 ? address : address & ((UINT64_C(1) << address_size * 8) - 1);
}

/* Stack addresses have the mode's width, whatever the address size. */
static unsigned address_size_of(const struct segue_insn *insn, const struct segue_memory_operand *operand)
{
    switch ((enum segue_addressing)operand->addressing) {
    case SEGUE_ADDRESSING_STACK:
    case SEGUE_ADDRESSING_POP_ALL:
    case SEGUE_ADDRESSING_INTERRUPT_RETURN:
    case SEGUE_ADDRESSING_ENTER:
        return insn->mode == SEGUE_MODE_64 ? 8 : 4;
    default:
        return insn->address_size;
    }
}

static bool is_vector(const struct segue_memory_operand *operand)
{
    return operand->addressing == SEGUE_ADDRESSING_VECTOR;
}

/* Whether the segment's base counts: in 64-bit mode only those of FS and GS do, in 32-bit mode all; there a default
 * goes without saying. */
static bool tells_segment(const struct segue_insn *insn, const struct segue_memory_operand *operand)
{
    if (operand->segment == SEGUE_SEGMENT_FS || operand->segment == SEGUE_SEGMENT_GS)
        return true;
    bool on_stack = operand->base == SEGUE_RSP || operand->base == SEGUE_RBP;
    return insn->mode == SEGUE_MODE_32 && operand->segment != (on_stack ? SEGUE_SEGMENT_SS : SEGUE_SEGMENT_DS);
}

/* The address of an operand that depends on nothing but where the instruction stands. */
static bool resolve(const struct segue_insn *insn, const struct segue_memory_operand *operand, const uint64_t *address,
                    uint64_t *resolved)
{
    if (!address || operand->base != SEGUE_RIP || operand->index != SEGUE_REGISTER_NONE || tells_segment(insn, operand))
        return false;
    *resolved = cut(*address + insn->length + (uint64_t)operand->displacement, insn->address_size);
    return true;
}

static void print_displacement(FILE *out, const struct segue_insn *insn, const struct segue_memory_operand *operand,
                               bool first)
{
    uint64_t displacement = (uint64_t)operand->displacement;
    if (first)
        fprintf(out, "0x%" PRIx64, cut(displacement, insn->address_size));
    else if (operand->addressing == SEGUE_ADDRESSING_ENTER)
        return;
    else if (operand->displacement < 0)
        fprintf(out, " - 0x%" PRIx64, -displacement);
    else if (operand->displacement > 0)
        fprintf(out, " + 0x%" PRIx64, displacement);
}

static void print_index(FILE *out, const struct segue_insn *insn, const struct segue_memory_operand *operand)
{
    if (is_vector(operand))
        fprintf(out, "lane of vector register %u", operand->index);
    else if (operand->addressing == SEGUE_ADDRESSING_TABLE)
        fputs("al", out);
    else
        fputs(register_name(operand->index, insn->address_size), out);
    if (operand->scale > 1)
        fprintf(out, "*%u", operand->scale);
}

static void print_address(FILE *out, const struct segue_insn *insn, const struct segue_memory_operand *operand)
{
    const char *base = register_name(operand->base, address_size_of(insn, operand));
    bool indexed = is_vector(operand) || register_name(operand->index, insn->address_size);
    if (tells_segment(insn, operand))
        fprintf(out, "%s:", segments[operand->segment]);
    fputc('[', out);
    if (base)
        fputs(base, out);
    if (indexed) {
        fputs(base ? " + " : "", out);
        print_index(out, insn, operand);
    }
    print_displacement(out, insn, operand, !base && !indexed);
    fputc(']', out);
}

/* "8 bytes "; the size of some system structures is not in the instruction. */
static void print_size(FILE *out, const struct segue_memory_operand *operand)
{
    if (operand->size == 0)
        fputs("an unknown number of bytes ", out);
    else
        fprintf(out, "%u byte%s ", operand->size, operand->size == 1 ? "" : "s");
    if (is_vector(operand))
        fputs("per lane ", out);
}

void operand_print(FILE *out, const struct segue_insn *insn, const struct segue_memory_operand *operand,
                   const uint64_t *address)
{
    uint64_t resolved;
    fprintf(out, "%s%s ", operand->flags & SEGUE_ACCESS_OPTIONAL ? "perhaps " : "", directions[direction_of(operand)]);
    print_size(out, operand);
    fputs("at ", out);
    print_address(out, insn, operand);
    if (resolve(insn, operand, address, &resolved))
        fprintf(out, " = 0x%" PRIx64, resolved);
    if (address_size_of(insn, operand) < (insn->mode == SEGUE_MODE_64 ? 8 : 4))
        fprintf(out, ", the address cut to %u bits", insn->address_size * 8u);
    if (operand->addressing == SEGUE_ADDRESSING_BIT_OFFSET)
        fprintf(out, ", moved by the bit offset in %s", register_name(operand->mask, operand->size));
    if (operand->addressing == SEGUE_ADDRESSING_ENTER)
        fprintf(out, ", for a frame of %" PRId64 " bytes at nesting level %u", operand->displacement, operand->lanes);
    if (operand->masking != SEGUE_MASKING_NONE)
        fputs(", what the mask lets through", out);
    if (insn->flags & SEGUE_INSN_REPEATED)
        fputs(", and so on for each element", out);
    if (insn->flags & SEGUE_INSN_LOCKED)
        fputs(", in one locked operation", out);
}

static json_t *string_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *operand_json(const struct segue_insn *insn, const struct segue_memory_operand *operand, const uint64_t *address)
{
    static const char *const words[] = {
        [0] = "none",
        [SEGUE_READ] = "read",
        [SEGUE_WRITE] = "write",
        [SEGUE_READ | SEGUE_WRITE] = "read-write",
    };
    json_t *object = json_object();
    uint64_t resolved;
    char index[16];
    snprintf(index, sizeof index, "vector%u", operand->index);
    json_object_set_new(object, "direction", json_string(words[direction_of(operand)]));
    json_object_set_new(object, "size", json_integer(operand->size));
    json_object_set_new(object, "segment", json_string(segments[operand->segment]));
    json_object_set_new(object, "base", string_or_null(register_name(operand->base, address_size_of(insn, operand))));
    json_object_set_new(object, "index",
                        is_vector(operand) ? json_string(index)
                                           : string_or_null(register_name(operand->index, insn->address_size)));
    json_object_set_new(object, "scale", json_integer(operand->scale));
    json_object_set_new(object, "displacement", json_integer(operand->displacement));
    json_object_set_new(object, "address_size", json_integer(address_size_of(insn, operand)));
    json_object_set_new(object, "address",
                        resolve(insn, operand, address, &resolved) ? json_sprintf("0x%" PRIx64, resolved)
                                                                   : json_null());
    return object;
}
