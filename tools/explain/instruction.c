/* instruction.c: all that can be known of one instruction before it runs. */
#include "instruction.h"

#include <inttypes.h>
#include <string.h>

#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "operand.h"
#include "text.h"

/* What every register holds in the plan that is asked for. Not zero, and no less than the largest negative
 * displacement: else [rbp - 8] would be an access that wraps around the end of the address space, which real ones do
 * not. Aligned as strictly as any instruction wants it. */
#define REGISTER_VALUE UINT64_C(0x80000040)
/* Interrupts on, and the bit that is always set. */
#define FLAGS_VALUE UINT64_C(0x202)
/* The largest XSAVE area to be reckoned with. */
#define XSTATE_ROOM 16384

static const char *const engines[] = {
    [SEGUE_ENGINE_MOVE] = "move",
    [SEGUE_ENGINE_REPLAY] = "replay",
    [SEGUE_ENGINE_STACK] = "stack",
};

static const char *engine_name(enum segue_engine engine)
{
    const char *name = (size_t)engine < sizeof engines / sizeof *engines ? engines[engine] : NULL;
    return name ? name : "?";
}

/* A state in which every lane of a gather or scatter is switched on, at index -1. Made once: CPUID is slow in a virtual
 * machine. */
static const struct segue_xstate *lanes_on(void)
{
    static _Alignas(XSAVE_ALIGNMENT) uint8_t area[XSTATE_ROOM];
    static struct segue_xstate state;
    static bool is_made;
    if (is_made)
        return &state;
    is_made = true;
    uint64_t features = xsave_enabled();
    uint32_t size = xsave_area_size();
    if (!features || size < XSAVE_HEADER_END || size > sizeof area)
        return &state;
    memset(area, 0xff, sizeof area);
    memset(area + XSAVE_XSTATE_BV, 0, XSAVE_HEADER_SIZE);
    memcpy(area + XSAVE_XSTATE_BV, &features, sizeof features);
    state = (struct segue_xstate){.area = area, .size = size, .features = features};
    return &state;
}

enum segue_status instruction_read(const struct code *code, size_t offset, struct instruction *instruction)
{
    struct segue_insn insn;
    struct segue_regs regs;
    enum segue_status status = segue_decode(code->mode, code->bytes + offset, code->size - offset, &insn);
    if (status != SEGUE_OK)
        return status;
    for (unsigned i = 0; i < SEGUE_REGISTER_COUNT; i++)
        *segue_register_at(&regs, i) = REGISTER_VALUE;
    regs.rflags = FLAGS_VALUE;
    memset(regs.selectors, 0, sizeof regs.selectors);
    regs.selectors[SEGUE_SEGMENT_CS] = selectors_code();
    regs.selectors[SEGUE_SEGMENT_SS] = selectors_stack();
    if (code->address_known)
        regs.rip = code->address + offset;
    segue_replay_prepare();
    instruction->code = code;
    instruction->offset = offset;
    const struct segue_plan *plan;
    enum segue_status planned = segue_plan_in(instruction->plan_memory, sizeof instruction->plan_memory, &insn, &regs,
                                              lanes_on(), NULL, NULL, 0, &plan);
    (void)planned; /* A plan that was refused says why. */
    text_write(instruction);
    return SEGUE_OK;
}

static void bytes_in_hex(const uint8_t *bytes, size_t size, char *text)
{
    *text = 0;
    for (size_t i = 0; i < size; i++)
        text += sprintf(text, i ? " %02x" : "%02x", bytes[i]);
}

static const char *why_bad(const struct code *code, enum segue_status status)
{
    if (status == SEGUE_TRUNCATED)
        return "the bytes end before the instruction does";
    return code->mode == SEGUE_MODE_64 ? "no instruction in 64-bit mode" : "no instruction in 32-bit mode";
}

/* The place, the bytes and a text in columns. */
static void print_line(FILE *out, const struct code *code, size_t offset, size_t size, const char *text)
{
    char bytes[3 * SEGUE_INSN_BYTES + 1];
    char place[24];
    bytes_in_hex(code->bytes + offset, size, bytes);
    snprintf(place, sizeof place, code->address_known ? "0x%" PRIx64 : "+0x%" PRIx64, code->address + offset);
    fprintf(out, "%12s  %-29s  %s\n", place, bytes, text);
}

void instruction_print(FILE *out, const struct instruction *instruction)
{
    const struct code *code = instruction->code;
    const struct segue_plan *plan = &instruction->plan;
    uint64_t address = code->address + instruction->offset;
    print_line(out, code, instruction->offset, plan->insn.length, instruction->text);
    for (size_t i = 0; i < plan->insn.memory_count; i++) {
        fprintf(out, "%*s", INSTRUCTION_INDENT, "");
        operand_print(out, &plan->insn, &plan->insn.memory[i], code->address_known ? &address : NULL);
        fputc('\n', out);
    }
    if (plan->refusal)
        fprintf(out, "%*scannot be stepped: %s\n", INSTRUCTION_INDENT, "", plan->refusal);
    else
        fprintf(out, "%*scan be stepped by the %s engine\n", INSTRUCTION_INDENT, "", engine_name(plan->engine));
}

void instruction_print_bad(FILE *out, const struct code *code, size_t offset, size_t size, enum segue_status status)
{
    char text[80];
    snprintf(text, sizeof text, "(%s)", why_bad(code, status));
    print_line(out, code, offset, size, text);
}

/* What an instruction and other bytes have in common. */
static json_t *object_at(const struct code *code, size_t offset, size_t size)
{
    char bytes[3 * SEGUE_INSN_BYTES + 1];
    json_t *object = json_object();
    bytes_in_hex(code->bytes + offset, size, bytes);
    if (code->address_known)
        json_object_set_new(object, "address", json_sprintf("0x%" PRIx64, code->address + offset));
    else
        json_object_set_new(object, "offset", json_integer((json_int_t)offset));
    json_object_set_new(object, "bytes", json_string(bytes));
    json_object_set_new(object, "length", json_integer((json_int_t)size));
    return object;
}

json_t *instruction_json(const struct instruction *instruction)
{
    const struct code *code = instruction->code;
    const struct segue_plan *plan = &instruction->plan;
    uint64_t address = code->address + instruction->offset;
    json_t *object = object_at(code, instruction->offset, plan->insn.length);
    json_t *accesses = json_array();
    for (size_t i = 0; i < plan->insn.memory_count; i++)
        json_array_append_new(accesses,
                              operand_json(&plan->insn, &plan->insn.memory[i], code->address_known ? &address : NULL));
    json_object_set_new(object, "mnemonic", json_string(segue_mnemonic_name(plan->insn.mnemonic)));
    json_object_set_new(object, "class", json_string(segue_class_name((enum segue_class)plan->insn.class_)));
    json_object_set_new(object, "text", json_string(instruction->text));
    json_object_set_new(object, "accesses", accesses);
    json_object_set_new(object, "locked", json_boolean(plan->insn.flags & SEGUE_INSN_LOCKED));
    json_object_set_new(object, "repeated", json_boolean(plan->insn.flags & SEGUE_INSN_REPEATED));
    json_object_set_new(object, "engine", plan->refusal ? json_null() : json_string(engine_name(plan->engine)));
    json_object_set_new(object, "refusal", plan->refusal ? json_string(plan->refusal) : json_null());
    return object;
}

json_t *instruction_bad_json(const struct code *code, size_t offset, size_t size, enum segue_status status)
{
    json_t *object = object_at(code, offset, size);
    json_object_set_new(object, "error", json_string(why_bad(code, status)));
    return object;
}
