/* encodings.c: instructions of every opcode map with random operands and states (see encodings.h).
 *
 * SOURCES: Intel SDM volume 2, 2.1 to 2.7; AMD APM volume 3, 1.8 (XOP). */
#include "encodings.h"

#include <Zydis/Zydis.h>

#include "decode/mnemonics/mnemonics.h"
#include "decode/orders.h"
#include "emulate/details.h"
#include "rows.h"
#include "tests/support/processor/large_plan.h"
#include "tests/support/processor/selectors.h"

#define CODE_SIZE 15u
#define FLAG_DIRECTION 0x400u
#define FCW 0
#define FSW 2
#define X87_POINTERS 6
#define X87_POINTERS_SIZE 18
#define MXCSR 24
#define X87_MASKS 0x3fu
#define MXCSR_MASKS 0x1f80u
/* AMD's, and no system sets it: operands of legacy vector instructions need no alignment then, and some read less. */
#define MXCSR_MISALIGNED 0x20000u

struct encodings_refusals encodings_refusals;
uint32_t encodings_mnemonics[MNEMONIC_MOST];

static uint32_t one_in(struct random *random, uint32_t times)
{
    return random_below(random, times) == 0;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

struct bytes {
    uint8_t *at;
    unsigned length;
};

static void put(struct bytes *bytes, unsigned byte)
{
    bytes->at[bytes->length++] = (uint8_t)byte;
}

static void put_prefixes(struct random *random, struct bytes *bytes, bool legacy)
{
    static const uint8_t legacy_only[] = {0x66, 0xf2, 0xf3, 0xf0}, any[] = {0x64, 0x65, 0x67, 0x2e, 0x3e};
    while (legacy && one_in(random, 3) && bytes->length < 3)
        put(bytes, legacy_only[random_below(random, sizeof legacy_only)]);
    while (one_in(random, 6) && bytes->length < 4)
        put(bytes, any[random_below(random, sizeof any)]);
    if (legacy && one_in(random, 24))
        put(bytes, 0x40 | random_below(random, 16));
    if (legacy && one_in(random, 24))
        put(bytes, any[random_below(random, sizeof any)]);
}

static void put_legacy(struct random *random, struct bytes *bytes)
{
    static const uint8_t maps[] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 3};
    uint8_t map = maps[random_below(random, sizeof maps)];
    put_prefixes(random, bytes, true);
    if (one_in(random, 2))
        put(bytes, 0x40 | random_below(random, 16));
    if (map)
        put(bytes, 0x0f);
    if (map >= 2)
        put(bytes, map == 2 ? 0x38 : 0x3a);
}

static void put_vex(struct random *random, struct bytes *bytes)
{
    put_prefixes(random, bytes, false);
    if (one_in(random, 3)) {
        put(bytes, 0xc5);
    } else {
        put(bytes, 0xc4);
        put(bytes, random_below(random, 8) << 5 | (1 + random_below(random, 3)));
    }
    /* Where no second source is named, its field must be all ones. */
    put(bytes, random_below(random, 256) | (one_in(random, 2) ? 0x78 : 0));
}

static void put_evex(struct random *random, struct bytes *bytes)
{
    static const uint8_t maps[] = {1, 1, 2, 2, 3, 5, 6};
    bool one_source = one_in(random, 2);
    put_prefixes(random, bytes, false);
    put(bytes, 0x62);
    put(bytes, random_below(random, 16) << 4 | maps[random_below(random, sizeof maps)]);
    put(bytes, random_below(random, 256) | 4 | (one_source ? 0x78 : 0));
    unsigned last = random_below(random, 256) | (one_source ? 8 : 0);
    if (one_in(random, 2))
        last &= ~0x80u;
    put(bytes, last);
}

static void put_xop(struct random *random, struct bytes *bytes)
{
    put_prefixes(random, bytes, false);
    put(bytes, 0x8f);
    put(bytes, random_below(random, 8) << 5 | (8 + random_below(random, 3)));
    put(bytes, random_below(random, 256));
}

/* A random encoding of CODE_SIZE bytes, of which an instruction may be the beginning. */
static void random_encoding(struct random *random, uint8_t *code)
{
    struct bytes bytes = {code, 0};
    random_fill(random, code, CODE_SIZE);
    switch (random_below(random, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        put_legacy(random, &bytes);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        put_vex(random, &bytes);
        break;
    case 10:
        put_xop(random, &bytes);
        break;
    default:
        put_evex(random, &bytes);
        break;
    }
    put(&bytes, random_below(random, 256));
    /* Memory, not a register. */
    while (code[bytes.length] >> 6 == 3)
        code[bytes.length] = (uint8_t)random_next(random);
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

struct target {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operand;
    struct test_case *test;
    uint64_t next;
};

static unsigned number_of(ZydisRegister reg)
{
    static const uint8_t by_encoding[16] = {
        SEGUE_RAX, SEGUE_RCX, SEGUE_RDX, SEGUE_RBX, SEGUE_RSP, SEGUE_RBP, SEGUE_RSI, SEGUE_RDI,
        SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15,
    };
    return by_encoding[ZydisRegisterGetId(reg)];
}

static bool patch_displacement(const struct target *target, uint64_t displacement)
{
    const ZydisDecodedInstruction *instruction = target->instruction;
    if (instruction->raw.disp.size == 64) {
        memcpy(target->test->bytes + instruction->raw.disp.offset, &displacement, 8);
        return true;
    }
    if (instruction->raw.disp.size != 32 || (int64_t)displacement != (int32_t)displacement)
        return false;
    memcpy(target->test->bytes + instruction->raw.disp.offset, &displacement, 4);
    return true;
}

/* One register is base and index. */
static bool solve_twice(const struct target *target, uint64_t sum, bool narrow, uint64_t *reg)
{
    uint64_t factor = 1u + target->operand->mem.scale;
    if (factor == 2) {
        *reg = narrow ? (uint32_t)sum / 2 : sum / 2;
        return !(sum & 1);
    }
    *reg = sum * generate_inverse(factor);
    if (narrow)
        *reg = (uint32_t)*reg;
    return true;
}

static bool solve_without_base(const struct target *target, uint64_t address, bool narrow)
{
    const ZydisDecodedOperandMem *mem = &target->operand->mem;
    uint64_t displacement = mem->disp.has_displacement ? (uint64_t)mem->disp.value : 0, low = mem->scale - 1u;
    displacement = (displacement & ~low) | (address & low);
    uint64_t product = address - displacement;
    target->test->registers.general[number_of(mem->index)] = (narrow ? (uint32_t)product : product) / mem->scale;
    return patch_displacement(target, displacement);
}

/* What the index adds to the address; XLAT's is a byte. */
static uint64_t product_of(const struct target *target)
{
    const ZydisDecodedOperandMem *mem = &target->operand->mem;
    const uint64_t *general = target->test->registers.general;
    if (mem->index == ZYDIS_REGISTER_NONE || mem->type == ZYDIS_MEMOP_TYPE_VSIB)
        return 0;
    if (mem->index == ZYDIS_REGISTER_AL)
        return (uint8_t)general[SEGUE_RAX];
    return general[number_of(mem->index)] * mem->scale;
}

/* Sets registers, or a displacement, so that the operand's effective address becomes `address`. */
static bool solve(const struct target *target, struct random *random, uint64_t address)
{
    const ZydisDecodedOperandMem *mem = &target->operand->mem;
    uint64_t *general = target->test->registers.general;
    /* The stack's address is as wide as the stack is. */
    bool narrow = target->instruction->address_width == 32 && mem->base != ZYDIS_REGISTER_RSP;
    uint64_t above = narrow ? random_next(random) << 32 : 0;
    uint64_t displacement = mem->disp.has_displacement ? (uint64_t)mem->disp.value : 0;
    bool has_index = mem->index != ZYDIS_REGISTER_NONE && mem->type != ZYDIS_MEMOP_TYPE_VSIB;
    if (narrow && address >> 32)
        return false;
    if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
        return patch_displacement(target, address - target->next);
    if (mem->base == ZYDIS_REGISTER_NONE && has_index)
        return solve_without_base(target, address, narrow);
    if (mem->base == ZYDIS_REGISTER_NONE) {
        if (narrow && target->instruction->raw.disp.size == 32) {
            memcpy(target->test->bytes + target->instruction->raw.disp.offset, &address, 4);
            return true;
        }
        return patch_displacement(target, address);
    }
    uint64_t *base = &general[number_of(mem->base)];
    if (has_index && number_of(mem->index) == number_of(mem->base)) {
        if (!solve_twice(target, address - displacement, narrow, base))
            return false;
    } else {
        *base = address - displacement - product_of(target);
    }
    if (narrow)
        *base = (uint32_t)*base + above;
    return true;
}

/* Solves for a linear address. */
static bool aim_at(const struct target *target, const struct generator *generator, struct random *random,
                   uint64_t linear)
{
    switch (target->operand->mem.segment) {
    case ZYDIS_REGISTER_FS:
        return solve(target, random, linear - generator->fs_base);
    case ZYDIS_REGISTER_GS: {
        uint64_t address = (uint32_t)random_next(random) >> 1;
        target->test->gs_base = linear - address;
        /* A base is always an address. */
        return (int64_t)(target->test->gs_base << 16) >> 16 == (int64_t)target->test->gs_base &&
               solve(target, random, address);
    }
    default:
        return solve(target, random, linear);
    }
}

/* Where nothing can be: the null page, and both sides of the edges of what is canonical. */
static uint64_t place_outside(struct random *random, unsigned size)
{
    uint64_t offset = random_below(random, 2 * size);
    switch (random_below(random, 4)) {
    case 0:
        return random_below(random, AREA_PAGE - size);
    case 1:
        return 0x00007fffffffffff - offset;
    case 2:
        return 0xffff7fffffffffff - offset;
    default:
        return 0xffff800000000000 + offset;
    }
}

/* One of this many operands goes where nothing can be. */
#define OUTSIDE_ONE_IN 48

/* A place for an operand: at page edges, across them (with its first byte, its last one, or half of it on the page),
 * misaligned, aligned. */
static uint64_t choose_place(const struct generator *generator, struct random *random, unsigned size)
{
    const struct area *area = &generator->areas->area[random_below(random, (uint32_t)generator->areas->count)];
    uint32_t pages = (uint32_t)(area->size / AREA_PAGE), page;
    bool any = one_in(random, 16);
    do
        page = random_below(random, pages);
    while (!any && (area->layout[page] == 'O' || area->layout[page] == 'H'));
    uint64_t base = area->base + page * (uint64_t)AREA_PAGE, end = base + AREA_PAGE;
    if (size == 0 || size > AREA_PAGE / 2)
        size = 64;
    if (one_in(random, OUTSIDE_ONE_IN))
        return place_outside(random, size);
    switch (random_below(random, 16)) {
    case 0:
    case 1:
        return end - size;
    case 2:
        return page ? base - random_below(random, size) : base;
    case 3:
        return page + 1 < pages ? end - random_below(random, size) : base;
    case 4:
        return page ? base - size + 1 : base;
    case 5:
        return page + 1 < pages ? end - 1 : base;
    case 6:
        return page ? base - size / 2 : base;
    case 7:
    case 8:
        return base + random_below(random, AREA_PAGE - size);
    default:
        return base + random_below(random, AREA_PAGE / 64) * 64;
    }
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

/* What leaves the slot for good, changes the segments that the host lives by, or is not a program's to execute, cannot.
 */
bool encodings_can_run(const struct segue_insn *insn)
{
    switch ((enum segue_class)insn->class_) {
    case SEGUE_CLASS_STACK:
    case SEGUE_CLASS_BRANCH:
    case SEGUE_CLASS_SEGMENT:
        return orders_of(insn)->transfer.kind != INSN_TRANSFER_NONE;
    case SEGUE_CLASS_SYSTEM:
    case SEGUE_CLASS_UNKNOWN:
        return false;
    default:
        return true;
    }
}

/* Aims every memory operand: strings have two. */
static bool aim(struct target *target, const ZydisDecodedOperand *operands, const struct generator *generator,
                struct random *random)
{
    bool any = false;
    for (unsigned i = 0; i < target->instruction->operand_count; i++) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY || operands[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN)
            continue;
        bool aimed = false;
        target->operand = &operands[i];
        for (unsigned k = 0; k < 16 && !aimed; k++)
            aimed = aim_at(target, generator, random, choose_place(generator, random, operands[i].size / 8));
        if (!aimed)
            return false;
        any = true;
    }
    return any;
}

/* ENTER's frames lie in the areas, and so does what it allocates. */
static void place_frames(const struct generator *generator, struct random *random,
                         const ZydisDecodedInstruction *instruction, struct test_case *test)
{
    uint16_t allocated;
    memcpy(&allocated, test->bytes + instruction->raw.imm[0].offset, sizeof allocated);
    allocated %= AREA_PAGE;
    memcpy(test->bytes + instruction->raw.imm[0].offset, &allocated, sizeof allocated);
    test->registers.general[SEGUE_RBP] = choose_place(generator, random, 64) + 64;
}

static void plant_value(struct test_case *test, uint64_t value, unsigned size)
{
    memcpy(test->planted + test->planted_size, &value, size);
    test->planted_size = (uint8_t)(test->planted_size + size);
    test->has_planted = true;
}

/* Not NT and ID, which are refused if they change, and not TF. */
static uint64_t flags_to_pop(struct random *random, const struct test_case *test)
{
    return (random_next(random) & 0x40cd5) | (test->registers.rflags & 0x204000);
}

/* Has a far one come back; and what it loads of segments is what the thread has. */
static void plant_far(struct random *random, const struct segue_insn *insn, uint64_t next, struct test_case *test)
{
    struct segue_regs present;
    unsigned word = insn->memory[insn->memory_count - 1u].element;
    selectors_read(present.selectors);
    switch (orders_of(insn)->transfer.kind) {
    case INSN_TRANSFER_CALL_FAR:
    case INSN_TRANSFER_JUMP_FAR:
        plant_value(test, next, insn->memory[0].size - 2u);
        plant_value(test, present.selectors[SEGUE_SEGMENT_CS], 2);
        break;
    case INSN_TRANSFER_RETURN_FAR:
    case INSN_TRANSFER_INTERRUPT_RETURN:
        plant_value(test, next, word);
        plant_value(test, present.selectors[SEGUE_SEGMENT_CS], word);
        if (orders_of(insn)->transfer.kind == INSN_TRANSFER_RETURN_FAR)
            break;
        plant_value(test, flags_to_pop(random, test), word);
        plant_value(test, random_next(random) >> 17, word);
        plant_value(test, present.selectors[SEGUE_SEGMENT_SS], word);
        break;
    case INSN_TRANSFER_LOAD_SEGMENT:
    case INSN_TRANSFER_POP_SEGMENT:
        /* With a base that is not zero it is refused. */
        if (orders_of(insn)->transfer.reg == SEGUE_SEGMENT_GS && insn->segment_prefix == SEGUE_NO_PREFIX)
            test->gs_base = 0;
        plant_value(test, present.selectors[orders_of(insn)->transfer.reg], insn->memory[0].size);
        break;
    default:
        break;
    }
}

static bool is_far_or_segment(const struct segue_insn *insn)
{
    return orders_of(insn)->transfer.kind >= INSN_TRANSFER_PUSH_SEGMENT;
}

/* Has a branch come back, whatever it takes its target from, and flags be such as the harness can live with. */
static void plant(struct random *random, const struct segue_insn *insn, const ZydisDecodedInstruction *instruction,
                  uint64_t next, struct test_case *test)
{
    const struct insn_transfer *transfer = &orders_of(insn)->transfer;
    /* Now and then to where there is no address. */
    uint64_t target = one_in(random, 16) ? next | UINT64_C(1) << (47 + random_below(random, 16)) : next;
    if (is_far_or_segment(insn))
        plant_far(random, insn, target, test);
    else if (transfer->kind == INSN_TRANSFER_POP_FLAGS)
        plant_value(test, flags_to_pop(random, test), sizeof(uint64_t));
    else if (insn->class_ != SEGUE_CLASS_BRANCH)
        return;
    else if (transfer->is_immediate && transfer->kind != INSN_TRANSFER_RETURN)
        memset(test->bytes + instruction->raw.imm[0].offset, 0, instruction->raw.imm[0].size / 8);
    else if (transfer->reg != SEGUE_REGISTER_NONE)
        test->registers.general[transfer->reg] = next;
    else
        plant_value(test, target, sizeof target);
}

/* One repetition in this many runs until something ends it. */
#define FAR_ONE_IN 32

static void choose_count(struct random *random, struct test_case *test)
{
    uint64_t *count = &test->registers.general[SEGUE_RCX];
    *count = random_below(random, 100);
    test->runs_far = one_in(random, FAR_ONE_IN);
    if (!test->runs_far)
        return;
    uint64_t near = random_below(random, 4096);
    switch (random_below(random, 4)) {
    case 0:
        *count = UINT64_MAX - near;
        break;
    case 1:
        *count = (UINT64_C(1) << 32) - 2048 + near;
        break;
    case 2:
        *count = random_next(random) & ((UINT64_C(1) << 33) - 1);
        break;
    default:
        *count = random_below(random, 1u << 20);
        break;
    }
}

/* The state that makes the instruction whose bytes the case has access a chosen place. `encoding`: how many bytes there
 * are; the instruction may be shorter. */
static bool aim_instruction(const struct generator *generator, struct random *random, size_t slot, size_t encoding,
                            struct segue_insn *insn, struct test_case *test)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, test->bytes, encoding, &instruction, operands)) ||
        segue_decode(SEGUE_MODE_64, test->bytes, encoding, insn) != SEGUE_OK || !encodings_can_run(insn))
        return false;
    test->length = instruction.length;
    uint64_t next = oracle_slot_address(slot, instruction.length) + instruction.length;
    struct target target = {.instruction = &instruction, .test = test, .next = next};
    /* Zydis knows no memory operand of CLZERO. */
    if (insn->memory_count && insn->memory[0].addressing == SEGUE_ADDRESSING_CACHE_LINE)
        test->registers.general[SEGUE_RAX] = choose_place(generator, random, 64);
    else if (insn->memory_count == 0 || !aim(&target, operands, generator, random))
        return false;
    plant(random, insn, &instruction, next, test);
    if (orders_of(insn)->transfer.kind == INSN_TRANSFER_ENTER)
        place_frames(generator, random, &instruction, test);
    /* With no component asked for, the processor looks at the area all the same; that fault is no access's. */
    if (insn->class_ == SEGUE_CLASS_STATE)
        test->registers.general[SEGUE_RAX] |= 1;
    test->repeats = insn->flags & SEGUE_INSN_REPEATED;
    if (insn->memory[0].addressing == SEGUE_ADDRESSING_VECTOR)
        test->repeats = true;
    else if (test->repeats)
        choose_count(random, test);
    return segue_decode(SEGUE_MODE_64, test->bytes, test->length, insn) == SEGUE_OK;
}

static void random_registers(struct random *random, struct test_case *test)
{
    static const uint64_t special[] = {0, 1, UINT64_MAX, 0x80, 0x8000, 0x80000000, 0x7fffffff, 0x8000000000000000};
    uint64_t *general = test->registers.general;
    random_fill(random, general, sizeof test->registers.general);
    /* So that a comparison can succeed where memory is zero, a quotient fits, and a bit offset is near. */
    for (unsigned i = 0; i < 16; i++)
        if (one_in(random, 4))
            general[i] = special[random_below(random, 8)];
    if (one_in(random, 2))
        general[SEGUE_RAX] = general[SEGUE_RDX] = 0;
    for (unsigned i = 0; i < 16; i++)
        if (one_in(random, 4))
            general[i] = (uint64_t)((int64_t)(random_next(random) << 49) >> 49);
    test->registers.rflags = (random_next(random) & 0x200cd5) | 0x202;
    if (one_in(random, 16))
        test->registers.rflags |= TEST_FLAG_ALIGNMENT_CHECK;
    test->gs_base = random_next(random) >> 17;
}

static void count_refusal(const char *why, const struct test_case *test)
{
    for (unsigned i = 0; i < ENCODINGS_REASONS; i++) {
        if (encodings_refusals.reasons[i].why && strcmp(encodings_refusals.reasons[i].why, why) != 0)
            continue;
        if (!encodings_refusals.reasons[i].why) {
            memcpy(encodings_refusals.reasons[i].example, test->bytes, test->length);
            encodings_refusals.reasons[i].example_length = test->length;
        }
        encodings_refusals.reasons[i].why = why;
        encodings_refusals.reasons[i].count++;
        return;
    }
}

/* Where the first element is, of a repeated string; where the access is, of others. */
static uint64_t beginning(const struct segue_access *access)
{
    bool down = (access->flags & SEGUE_ACCESS_REPEATED) && (access->flags & SEGUE_ACCESS_DOWN);
    return down ? access->address + access->size - access->element : access->address;
}

#define WINDOWS_MOST (AREAS_IN_SET * AREA_REGIONS)

/* The windows of all areas that the accesses begin or end in; of all there are where accesses cannot be listed. */
static size_t windows_of(const struct test_case *test, const struct areas *areas, struct segue_window *windows)
{
    size_t count = 0;
    for (size_t k = 0; k < areas->count; k++) {
        const struct area *area = &areas->area[k];
        bool touched = test->access_count == 0;
        for (size_t i = 0; i < test->access_count && !touched; i++) {
            const struct segue_access *access = &test->accesses[i];
            touched = beginning(access) - area->base < area->size ||
                      access->address + access->size - 1 - area->base < area->size;
        }
        if (!touched)
            continue;
        memcpy(windows + count, area->windows, area->window_count * sizeof *windows);
        count += area->window_count;
    }
    return count;
}

/* The null page, the last page of a program's addresses and the system's half can never be mapped; what is not
 * canonical has no owner. */
static bool is_never_mapped(uint64_t first, uint64_t size)
{
    return first + size <= AREA_PAGE || first >= 0x00007ffffffff000;
}

/* What lies elsewhere may be the test's own memory. */
static bool stays_in_areas(const struct test_case *test, const struct areas *areas)
{
    for (size_t i = 0; i < test->access_count; i++) {
        uint64_t first = test->accesses[i].address, size = test->accesses[i].size;
        if (test->runs_far) {
            first = beginning(&test->accesses[i]);
            size = test->accesses[i].element;
        }
        bool inside = is_never_mapped(first, size);
        for (size_t k = 0; k < areas->count && !inside; k++)
            inside = first >= areas->area[k].base && first + size <= areas->area[k].base + areas->area[k].size;
        if (!inside)
            return false;
    }
    return true;
}

/* The registers after so many elements of a repeated string; false if they were the last, or it has left the areas. */
static bool pass_elements(const struct segue_insn *insn, uint64_t elements, const struct areas *areas,
                          struct segue_regs *regs)
{
    bool inside = true;
    uint64_t mask = insn->address_size == 4 ? UINT32_MAX : UINT64_MAX;
    uint64_t moved = elements * insn->memory[0].element;
    regs->rcx = (regs->rcx & mask) - elements;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        uint64_t *base = segue_register_at(regs, insn->memory[i].base);
        *base = (regs->rflags & FLAG_DIRECTION ? *base - moved : *base + moved) & mask;
        uint64_t segment = insn->memory[i].segment == SEGUE_SEGMENT_FS   ? regs->fs_base
                           : insn->memory[i].segment == SEGUE_SEGMENT_GS ? regs->gs_base
                                                                         : 0;
        inside &= areas_find(areas, *base + segment) != NULL;
    }
    return regs->rcx != 0 && inside;
}

/* Why the last plan said no. */
static const char *last_refusal;

/* Whether the plan says yes, whatever pages are closed. What accesses nothing cannot fault. */
static bool is_planned(const struct segue_insn *insn, struct test_case *test, const struct generator *generator,
                       uint64_t address, const void *image)
{
    static union large_plan made;
    const struct segue_plan *plan = &made.plan;
    static struct segue_window windows[WINDOWS_MOST];
    struct segue_regs regs;
    struct segue_xstate xstate = {
        .area = (void *)(uintptr_t)image, .size = (uint32_t)oracle_image_size(), .features = oracle_features()};
    memcpy(&regs, test->registers.general, sizeof test->registers.general);
    regs.rip = address;
    regs.rflags = test->registers.rflags;
    regs.fs_base = generator->fs_base;
    regs.gs_base = test->gs_base;
    selectors_read(regs.selectors);
    if (segue_accesses(insn, &regs, &xstate, test->accesses, SEGUE_ACCESSES_MOST, &test->access_count) != SEGUE_OK)
        test->access_count = 0;
    else if (test->access_count == 0)
        return true;
    last_refusal = "no state was found that keeps to the areas";
    if (!stays_in_areas(test, generator->areas))
        return false;
    size_t count = windows_of(test, generator->areas, windows);
    enum segue_status status = large_plan_make(insn, &regs, &xstate, NULL, windows, count, &made);
    while (status == SEGUE_OK && details_of(plan)->elements &&
           pass_elements(insn, details_of(plan)->elements, generator->areas, &regs))
        status = large_plan_make(insn, &regs, &xstate, NULL, windows, count, &made);
    encodings_refusals.planned++;
    last_refusal = plan->refusal;
    if (status != SEGUE_OK)
        count_refusal(plan->refusal, test);
    return status == SEGUE_OK;
}

/* Where what is planted is read from: the lowest place that is read. */
static void place_planted(struct test_case *test)
{
    bool found = false;
    for (size_t i = 0; test->has_planted && i < test->access_count; i++) {
        const struct segue_access *access = &test->accesses[i];
        if (!(access->direction & SEGUE_READ) || (found && access->address >= test->planted_address))
            continue;
        test->planted_address = access->address;
        found = true;
    }
    test->has_planted = found;
}

/* A state for the instruction whose bytes the case has; false if the plan does not say yes to it. */
static bool make_state(const struct generator *generator, struct random *random, size_t slot, const void *images,
                       size_t encoding, struct segue_insn *insn, struct test_case *test)
{
    random_registers(random, test);
    test->image = (uint8_t)random_below(random, generator->images);
    last_refusal = "its operands cannot be aimed";
    if (!aim_instruction(generator, random, slot, encoding, insn, test))
        return false;
    const void *image = (const char *)images + test->image * oracle_image_size();
    if (!is_planned(insn, test, generator, oracle_slot_address(slot, test->length), image))
        return false;
    place_planted(test);
    return true;
}

/* States that are tried for bytes that are given before they are given up for this time. */
#define ATTEMPTS 64

bool encodings_state(const struct generator *generator, struct random *random, size_t slot, const void *images,
                     size_t size, struct test_case *test)
{
    struct segue_insn insn;
    const struct test_case given = *test;
    if (segue_decode(SEGUE_MODE_64, test->bytes, size, &insn) != SEGUE_OK || insn.memory_count == 0 ||
        !encodings_can_run(&insn))
        return false;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        *test = given;
        if (make_state(generator, random, slot, images, size, &insn, test))
            return true;
    }
    return false;
}

void encodings_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                    struct test_case *test)
{
    struct random random = random_for(generator->seed, number);
    struct segue_insn insn;
    do {
        *test = (struct test_case){0};
        random_encoding(&random, test->bytes);
    } while (!make_state(generator, &random, slot, images, CODE_SIZE, &insn, test));
    encodings_mnemonics[insn.mnemonic]++;
}

void encodings_row_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                        struct test_case *test)
{
    struct random random = random_for(generator->seed, number);
    struct segue_insn insn;
    size_t row = rows_of_case(number);
    for (unsigned i = 0; i < ATTEMPTS && !rows_is_done(row); i++) {
        uint8_t length;
        *test = (struct test_case){0};
        const uint8_t *bytes = rows_bytes(row, &length);
        memcpy(test->bytes, bytes, length);
        if (!make_state(generator, &random, slot, images, length, &insn, test))
            continue;
        encodings_mnemonics[insn.mnemonic]++;
        rows_note_case(row);
        return;
    }
    /* Through an alias everything can be done that can be done at all. */
    if (!rows_is_done(row) && generator->areas == areas_of(AREAS_ALIAS))
        rows_note_refused(row, last_refusal);
    *test = (struct test_case){.bytes = {0x90}, .length = 1, .registers.rflags = 0x202, .idle = true};
}

static void small_numbers(struct random *random, uint8_t *vector, unsigned element)
{
    /* As indices, some reach over many pages. */
    uint32_t range = one_in(random, 4) ? 65536 : 1024;
    for (unsigned i = 0; i < 16; i += element) {
        int64_t value = (int64_t)random_below(random, range) - range / 2;
        memcpy(vector + i, &value, element);
    }
}

void encodings_tame_image(struct random *random, void *image)
{
    uint8_t *bytes = image;
    uint32_t mxcsr;
    /* They are lost with any signal on processors that store them only while an exception waits (docs/facts.md). */
    memset(bytes + X87_POINTERS, 0, X87_POINTERS_SIZE);
    if (!one_in(random, 4)) {
        bytes[FCW] |= X87_MASKS;
        bytes[FSW] &= 0x7f;
        bytes[FSW + 1] &= 0x7f;
    }
    memcpy(&mxcsr, bytes + MXCSR, sizeof mxcsr);
    mxcsr &= ~MXCSR_MISALIGNED;
    if (!one_in(random, 4))
        mxcsr |= MXCSR_MASKS;
    memcpy(bytes + MXCSR, &mxcsr, sizeof mxcsr);
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    for (size_t i = 1; i < count; i++) {
        uint32_t first = i == 1 ? 160 : components[i].offset;
        uint32_t end = components[i].offset + components[i].size;
        if (components[i].size == 64)
            continue;
        for (uint32_t at = first; at + 16 <= end; at += 16)
            if (one_in(random, 2))
                small_numbers(random, bytes + at, one_in(random, 2) ? 4 : 8);
    }
}

uint8_t *encodings_images(struct random *random, size_t count)
{
    size_t size = oracle_image_size();
    uint8_t *images = aligned_alloc(64, count * size);
    for (size_t i = 0; images && i < count; i++) {
        oracle_image_random(random, images + i * size);
        encodings_tame_image(random, images + i * size);
    }
    return images;
}
