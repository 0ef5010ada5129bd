/* generate.c: the encodings of the MOV family, and states for them (see generate.h).
 *
 * SOURCES: Intel SDM volume 2, chapter 2 (prefixes, ModRM, SIB, REX) and MOV, MOVSX, MOVSXD, MOVZX; AMD APM volume
 * 3, 1.2. A REX prefix counts only directly before the opcode. 2E, 36, 3E and 26 have no effect in 64-bit mode, not on
 * another segment prefix either; of 64 and 65 the last counts. F2 and F3 are hints here. */
#include "generate.h"

#include <stdio.h>

enum operand { LOAD, STORE, STORE_IMMEDIATE };
enum encoding { MODRM, MOFFS };
/* Bytes in memory: 0 stands for the operand size. */
#define BY_OPERAND_SIZE 0

static const struct opcode {
    uint8_t bytes[2];
    uint8_t length;
    enum operand operand;
    enum encoding encoding;
    uint8_t memory_size;
} opcodes[] = {
    {{0x88}, 1, STORE, MODRM, 1},
    {{0x89}, 1, STORE, MODRM, BY_OPERAND_SIZE},
    {{0x8a}, 1, LOAD, MODRM, 1},
    {{0x8b}, 1, LOAD, MODRM, BY_OPERAND_SIZE},
    {{0x0f, 0xb6}, 2, LOAD, MODRM, 1},
    {{0x0f, 0xb7}, 2, LOAD, MODRM, 2},
    {{0x0f, 0xbe}, 2, LOAD, MODRM, 1},
    {{0x0f, 0xbf}, 2, LOAD, MODRM, 2},
    {{0x63}, 1, LOAD, MODRM, 4},
    {{0xc6}, 1, STORE_IMMEDIATE, MODRM, 1},
    {{0xc7}, 1, STORE_IMMEDIATE, MODRM, BY_OPERAND_SIZE},
    {{0xa0}, 1, LOAD, MOFFS, 1},
    {{0xa1}, 1, LOAD, MOFFS, BY_OPERAND_SIZE},
    {{0xa2}, 1, STORE, MOFFS, 1},
    {{0xa3}, 1, STORE, MOFFS, BY_OPERAND_SIZE},
};
#define OPCODES (sizeof opcodes / sizeof *opcodes)

/* Prefixes in the order in which they stand; 40..4F among them are REX bytes that count for nothing. */
static const struct prefixes {
    uint8_t length;
    uint8_t bytes[4];
} prefix_sets[] = {
    /* The core. */
    {0, {0}},
    {1, {0x66}},
    {1, {0x67}},
    {2, {0x66, 0x67}},
    {1, {0x64}},
    {1, {0x65}},
    /* The rest. */
    {2, {0x67, 0x64}},
    {2, {0x64, 0x67}},
    {2, {0x67, 0x65}},
    {2, {0x66, 0x64}},
    {2, {0x65, 0x66}},
    {3, {0x66, 0x67, 0x65}},
    {3, {0x64, 0x66, 0x67}},
    {1, {0xf2}},
    {1, {0xf3}},
    {2, {0x66, 0xf3}},
    {2, {0xf2, 0x66}},
    {2, {0xf3, 0xf2}},
    {1, {0x2e}},
    {1, {0x36}},
    {1, {0x3e}},
    {1, {0x26}},
    {2, {0x64, 0x2e}},
    {2, {0x2e, 0x64}},
    {2, {0x65, 0x3e}},
    {2, {0x26, 0x65}},
    {2, {0x64, 0x36}},
    {2, {0x64, 0x65}},
    {2, {0x65, 0x64}},
    {2, {0x66, 0x66}},
    {2, {0x67, 0x67}},
    {4, {0x66, 0x66, 0x66, 0x64}},
    {4, {0xf2, 0xf3, 0x67, 0x64}},
    {4, {0x66, 0x2e, 0x67, 0x2e}},
    {2, {0x48, 0x66}},
    {2, {0x4f, 0x67}},
    {2, {0x41, 0x2e}},
    {2, {0x4c, 0xf3}},
    {2, {0x4a, 0x64}},
    {2, {0x40, 0x66}},
};
#define PREFIX_SETS (sizeof prefix_sets / sizeof *prefix_sets)
#define CORE_PREFIX_SETS 6

/* None, and 40 to 4F. */
#define REX_CHOICES 17
#define MODS 3
#define REGS 8
/* rm 0..3 and 5..7, and rm 4 with each SIB. */
#define RM_CHOICES (7 + 256)
#define WITH_SIB 4

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

/* enum segue_register in encoding order. */
static const uint8_t by_encoding[16] = {
    SEGUE_RAX, SEGUE_RCX, SEGUE_RDX, SEGUE_RBX, SEGUE_RSP, SEGUE_RBP, SEGUE_RSI, SEGUE_RDI,
    SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15,
};

enum address_form { REGISTERS, ABSOLUTE, RIP_RELATIVE, OFFSET };

/* One form, taken apart. */
struct form {
    const struct opcode *opcode;
    const struct prefixes *prefixes;
    /* 0: none. */
    uint8_t rex;
    uint8_t mod, reg, rm, sib;
    /* What follows from those. */
    unsigned operand_size, address_size, memory_size;
    enum segue_segment segment;
    enum address_form address_form;
    /* enum segue_register or SEGUE_REGISTER_NONE. */
    uint8_t base, index;
    unsigned scale;
    /* Bytes of displacement (of the whole address for OFFSET), of immediate, of all. */
    unsigned displacement_size, immediate_size, length;
};

static unsigned movsxd_r16_bytes = 2;

void generate_learn_processor(unsigned bytes)
{
    movsxd_r16_bytes = bytes;
}

/* Forms of one opcode with given prefixes and REX. */
static uint64_t shapes(const struct opcode *opcode)
{
    if (opcode->encoding == MOFFS)
        return 1;
    return (uint64_t)MODS * RM_CHOICES * (opcode->operand == STORE_IMMEDIATE ? 1 : REGS);
}

static uint64_t forms_of_a_prefix_set(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < OPCODES; i++)
        sum += shapes(&opcodes[i]);
    return sum * REX_CHOICES;
}

uint64_t generate_form_count(void)
{
    return forms_of_a_prefix_set() * PREFIX_SETS;
}

uint64_t generate_core_count(void)
{
    return forms_of_a_prefix_set() * CORE_PREFIX_SETS;
}

/* Cases 0, 1, 2 of each five are core until the core is exhausted; then all are of the rest, until that is too and the
 * next pass begins. */
#define ROUND 5
#define CORE_OF_ROUND 3

/* How many of a pass's first `cases` are core. */
static uint64_t core_cases(uint64_t cases)
{
    uint64_t core = generate_core_count(), over = cases % ROUND;
    if (cases >= core / CORE_OF_ROUND * ROUND)
        return core;
    return cases / ROUND * CORE_OF_ROUND + (over < CORE_OF_ROUND ? over : CORE_OF_ROUND);
}

uint64_t generate_distinct(uint64_t cases)
{
    return cases < generate_form_count() ? cases : generate_form_count();
}

uint64_t generate_distinct_core(uint64_t cases)
{
    return core_cases(cases);
}

/* A prime that divides neither count, so that multiples of it visit every form. */
#define STRIDE 1000000007u

static uint64_t form_number(uint64_t seed, uint64_t number)
{
    uint64_t core = generate_core_count(), rest = generate_form_count() - core;
    uint64_t place = number % generate_form_count(), before = core_cases(place);
    if (core_cases(place + 1) != before)
        return (before * STRIDE + seed % core) % core;
    return core + ((place - before) * STRIDE + seed % rest) % rest;
}

static void choose_shape(struct form *form, uint64_t number)
{
    form->prefixes = &prefix_sets[number / forms_of_a_prefix_set()];
    number %= forms_of_a_prefix_set();
    uint8_t rex = (uint8_t)(number % REX_CHOICES);
    form->rex = rex ? (uint8_t)(0x40 + rex - 1) : 0;
    number /= REX_CHOICES;
    form->opcode = opcodes;
    while (number >= shapes(form->opcode))
        number -= shapes(form->opcode++);
    form->mod = (uint8_t)(number % MODS);
    number /= MODS;
    uint64_t rm = number % RM_CHOICES;
    form->rm = rm < 7 ? (uint8_t)(rm < WITH_SIB ? rm : rm + 1) : WITH_SIB;
    form->sib = rm < 7 ? 0 : (uint8_t)(rm - 7);
    form->reg = (uint8_t)(number / RM_CHOICES);
}

static void apply_prefixes(struct form *form)
{
    form->address_size = 8;
    form->operand_size = 4;
    form->segment = SEGUE_SEGMENT_DS;
    for (size_t i = 0; i < form->prefixes->length; i++) {
        uint8_t byte = form->prefixes->bytes[i];
        if (byte == 0x66)
            form->operand_size = 2;
        if (byte == 0x67)
            form->address_size = 4;
        if (byte == 0x64)
            form->segment = SEGUE_SEGMENT_FS;
        if (byte == 0x65)
            form->segment = SEGUE_SEGMENT_GS;
    }
    if (form->rex & REX_W)
        form->operand_size = 8;
}

static void apply_modrm(struct form *form)
{
    uint8_t low = form->rm == WITH_SIB ? form->sib & 7 : form->rm;
    form->base = by_encoding[low | (form->rex & REX_B ? 8 : 0)];
    form->displacement_size = form->mod == 0 ? 0 : form->mod == 1 ? 1 : 4;
    form->address_form = REGISTERS;
    if (form->rm == WITH_SIB) {
        uint8_t index = (uint8_t)((form->sib >> 3 & 7) | (form->rex & REX_X ? 8 : 0));
        form->index = index == 4 ? SEGUE_REGISTER_NONE : by_encoding[index];
        form->scale = 1u << (form->sib >> 6);
    }
    if (form->mod == 0 && low == 5) {
        form->base = SEGUE_REGISTER_NONE;
        form->displacement_size = 4;
        if (form->rm != WITH_SIB)
            form->address_form = RIP_RELATIVE;
        else if (form->index == SEGUE_REGISTER_NONE)
            form->address_form = ABSOLUTE;
    }
}

static void understand(struct form *form)
{
    const struct opcode *opcode = form->opcode;
    apply_prefixes(form);
    form->base = form->index = SEGUE_REGISTER_NONE;
    form->scale = 0;
    form->memory_size = opcode->memory_size == BY_OPERAND_SIZE ? form->operand_size : opcode->memory_size;
    if (opcode->bytes[0] == 0x63 && form->operand_size == 2)
        form->memory_size = movsxd_r16_bytes;
    form->immediate_size = 0;
    if (opcode->operand == STORE_IMMEDIATE)
        form->immediate_size = form->memory_size == 8 ? 4 : form->memory_size;
    form->length = form->prefixes->length + (form->rex ? 1u : 0) + opcode->length + form->immediate_size;
    if (opcode->encoding == MOFFS) {
        form->address_form = OFFSET;
        form->displacement_size = form->address_size;
        form->length += form->displacement_size;
    } else {
        apply_modrm(form);
        form->length += 1u + (form->rm == WITH_SIB ? 1u : 0) + form->displacement_size;
    }
}

static uint64_t wrap(const struct form *form, uint64_t address)
{
    return form->address_size == 4 ? (uint32_t)address : address;
}

static uint64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return size == 8 ? value : (uint64_t)((int64_t)(value << unused) >> unused);
}

static bool fits_displacement(uint64_t value)
{
    return value == sign_extend(value, 4);
}

/* Whether the form can have this effective address; for REGISTERS the registers will be found, or another target. */
static bool can_address(const struct form *form, uint64_t address, uint64_t next)
{
    if (form->address_size == 4)
        return address == (uint32_t)address;
    switch (form->address_form) {
    case ABSOLUTE:
        return fits_displacement(address);
    case RIP_RELATIVE:
        return fits_displacement(address - next);
    default:
        return true;
    }
}

static bool is_canonical(uint64_t address)
{
    int64_t upper = (int64_t)address >> 47;
    return upper == 0 || upper == -1;
}

/* Chooses the base of GS, and so the effective address, for a linear address. Some processors refuse an effective
 * address that is not canonical by itself, whatever the base makes of it (docs/facts.md); it is not chosen. */
static bool choose_gs(const struct form *form, struct random *random, uint64_t linear, uint64_t next, uint64_t *address,
                      uint64_t *gs_base)
{
    bool anywhere = form->address_size == 8 && (form->address_form == REGISTERS || form->address_form == OFFSET);
    if (anywhere) {
        *gs_base = sign_extend(random_next(random) >> 16, 6);
        *address = linear - *gs_base;
        return is_canonical(*address) || !is_canonical(linear);
    }
    uint64_t displacement = sign_extend((uint32_t)random_next(random), 4);
    *address = wrap(form, form->address_form == RIP_RELATIVE ? next + displacement : displacement);
    *gs_base = linear - *address;
    return is_canonical(*gs_base);
}

/* Each step doubles the number of right bits. */
uint64_t generate_inverse(uint64_t odd)
{
    uint64_t guess = odd;
    for (int i = 0; i < 6; i++)
        guess *= 2 - odd * guess;
    return guess;
}

static uint64_t random_displacement(const struct form *form, struct random *random)
{
    return form->displacement_size ? sign_extend(random_next(random), form->displacement_size) : 0;
}

/* Solves base + index * scale + displacement = address, modulo 2^64 or 2^32; false where the displacement does not let
 * it. With 32-bit addresses the registers' upper halves are random. */
static bool solve_registers(const struct form *form, struct random *random, uint64_t address, uint64_t *general,
                            uint64_t *displacement)
{
    uint64_t above = form->address_size == 4 ? random_next(random) << 32 : 0;
    unsigned bits = form->address_size * 8;
    *displacement = random_displacement(form, random);
    if (form->base == SEGUE_REGISTER_NONE) {
        /* Always with four bytes of displacement. What is scaled out at the top does not matter. */
        uint64_t shift = (uint64_t)__builtin_ctz(form->scale);
        *displacement = sign_extend((*displacement & ~(uint64_t)(form->scale - 1)) | (address & (form->scale - 1)), 4);
        uint64_t product = wrap(form, address - *displacement);
        uint64_t lost = shift ? random_next(random) << (bits - shift) : 0;
        general[form->index] = wrap(form, (product >> shift) + lost) + above;
        return true;
    }
    if (form->index == form->base && form->scale == 1) {
        if (form->displacement_size)
            *displacement = (*displacement & ~(uint64_t)1) | (address & 1);
        uint64_t sum = wrap(form, address - *displacement);
        general[form->base] = wrap(form, (sum >> 1) + (random_next(random) << (bits - 1))) + above;
        return !(sum & 1);
    }
    if (form->index == form->base) {
        general[form->base] = wrap(form, (address - *displacement) * generate_inverse(1 + form->scale)) + above;
        return true;
    }
    uint64_t product = form->index == SEGUE_REGISTER_NONE ? 0 : general[form->index] * form->scale;
    general[form->base] = wrap(form, address - *displacement - product) + above;
    return true;
}

static bool solve(const struct form *form, struct random *random, uint64_t address, uint64_t next, uint64_t *general,
                  uint64_t *displacement)
{
    switch (form->address_form) {
    case ABSOLUTE:
    case OFFSET:
        *displacement = address;
        return true;
    case RIP_RELATIVE:
        *displacement = address - next;
        return true;
    case REGISTERS:
        break;
    }
    return solve_registers(form, random, address, general, displacement);
}

/* A page of the area: one that is protected, except one time in sixteen. */
static uint64_t choose_page(const struct area *area, struct random *random)
{
    uint32_t pages = (uint32_t)(area->size / AREA_PAGE);
    bool any = random_below(random, 16) == 0;
    uint32_t page;
    do
        page = random_below(random, pages);
    while (!any && (area->layout[page] == 'O' || area->layout[page] == 'H'));
    return area->base + page * (uint64_t)AREA_PAGE;
}

/* A place in an area: inside a page, at a page's first or last bytes, across an edge, aligned. */
static uint64_t place_in(const struct area *area, unsigned size, struct random *random)
{
    uint32_t pages = (uint32_t)(area->size / AREA_PAGE);
    uint64_t page = choose_page(area, random);
    uint64_t edge = area->base + (1 + random_below(random, pages - 1)) * (uint64_t)AREA_PAGE;
    switch (random_below(random, 8)) {
    case 0:
        return page;
    case 1:
        return page + AREA_PAGE - size;
    case 2:
    case 3:
    case 4:
        return size > 1 ? edge - 1 - random_below(random, size - 1) : edge - random_below(random, 2);
    case 5:
        return page + random_below(random, AREA_PAGE / 8) * 8;
    default:
        return page + random_below(random, AREA_PAGE - size);
    }
}

/* Addresses where nothing is: beyond the canonical ones, at their edges, at the null page, around the end. */
static uint64_t place_outside(unsigned size, struct random *random)
{
    uint64_t offset = random_below(random, 16);
    switch (random_below(random, 6)) {
    case 0:
        return offset;
    case 1:
        return 0x0000800000000000 - offset;
    case 2:
        return 0xffff800000000000 - offset - size;
    case 3:
        return 0 - offset - 1;
    case 4:
        return 0x00007fffffffe000 + offset + 0x1000;
    default:
        return (random_next(random) | 0x0001000000000000) & ~(uint64_t)0x8000000000000000;
    }
}

/* One of this many accesses goes where nothing is; there both runs fault. */
#define OUTSIDE_ONE_IN 64

static uint64_t choose_place(const struct generator *generator, const struct form *form, struct random *random)
{
    if (random_below(random, OUTSIDE_ONE_IN) == 0)
        return place_outside(form->memory_size, random);
    uint32_t area = random_below(random, (uint32_t)generator->areas->count);
    return place_in(&generator->areas->area[area], form->memory_size, random);
}

/* Chooses a place that the form can address, and the registers and displacement that lead there. */
static uint64_t aim(const struct generator *generator, const struct form *form, struct random *random, uint64_t next,
                    struct test_case *test)
{
    for (;;) {
        uint64_t displacement, address;
        uint64_t linear = choose_place(generator, form, random);
        if (form->segment == SEGUE_SEGMENT_GS) {
            if (!choose_gs(form, random, linear, next, &address, &test->gs_base))
                continue;
        } else {
            address = linear - (form->segment == SEGUE_SEGMENT_FS ? generator->fs_base : 0);
        }
        if (!can_address(form, address, next) ||
            !solve(form, random, address, next, test->registers.general, &displacement))
            continue;
        test->accesses[0] = (struct segue_access){
            .address = linear,
            .size = form->memory_size,
            .direction = form->opcode->operand == LOAD ? SEGUE_READ : SEGUE_WRITE,
        };
        test->access_count = 1;
        return displacement;
    }
}

static void append(struct test_case *test, const void *bytes, size_t size)
{
    /* What is over fifteen bytes is one prefix or so too many: the last byte may be missing. */
    for (size_t i = 0; i < size && test->length < sizeof test->bytes; i++)
        test->bytes[test->length++] = ((const uint8_t *)bytes)[i];
}

static void encode(const struct form *form, struct random *random, uint64_t displacement, struct test_case *test)
{
    uint8_t modrm = (uint8_t)(form->mod << 6 | form->reg << 3 | form->rm);
    uint64_t immediate = random_next(random);
    append(test, form->prefixes->bytes, form->prefixes->length);
    append(test, &form->rex, form->rex ? 1 : 0);
    append(test, form->opcode->bytes, form->opcode->length);
    if (form->opcode->encoding == MODRM) {
        append(test, &modrm, 1);
        append(test, &form->sib, form->rm == WITH_SIB ? 1 : 0);
    }
    append(test, &displacement, form->displacement_size);
    append(test, &immediate, form->immediate_size);
}

/* With alignment checks, misaligned accesses never get as far as the page: not too many of them. */
#define ALIGNMENT_CHECK_ONE_IN 16

/* Registers at random; now and then values where sign and zero extension show. */
static void randomise_registers(struct random *random, struct oracle_registers *registers)
{
    static const uint64_t special[] = {0, UINT64_MAX, 0x80, 0x8000, 0x80000000, 0x7f, 0x7fffffff, 0x8000000000000000};
    /* CF PF AF ZF SF DF OF NT ID are random; reserved bit 1 and IF are set. */
    const uint64_t random_flags = 0x204cd5;
    random_fill(random, registers->general, sizeof registers->general);
    if (random_below(random, 4) == 0)
        registers->general[random_below(random, 16)] = special[random_below(random, 8)];
    registers->rflags = (random_next(random) & random_flags) | 0x202;
    if (random_below(random, ALIGNMENT_CHECK_ONE_IN) == 0)
        registers->rflags |= TEST_FLAG_ALIGNMENT_CHECK;
}

void generate_case(const struct generator *generator, uint64_t number, size_t slot, struct test_case *test)
{
    struct random random = random_for(generator->seed, number);
    struct form form;
    *test = (struct test_case){0};
    choose_shape(&form, form_number(generator->seed, number));
    understand(&form);
    randomise_registers(&random, &test->registers);
    test->gs_base = sign_extend(random_next(&random) >> 16, 6);
    test->image = (uint8_t)random_below(&random, generator->images);
    test->too_long = form.length > SEGUE_INSN_BYTES;
    uint64_t next = oracle_slot_address(slot, form.length) + form.length;
    uint64_t displacement = aim(generator, &form, &random, next, test);
    encode(&form, &random, displacement, test);
    if (test->too_long)
        test->access_count = 0;
}

void generate_describe(const struct test_case *test, char *text, size_t size)
{
    const struct segue_access *access = &test->accesses[0];
    if (test->too_long)
        snprintf(text, size, "too long");
    else
        snprintf(text, size, "%s of %u bytes at %#llx", access->direction == SEGUE_READ ? "read" : "write",
                 (unsigned)access->size, (unsigned long long)access->address);
}
