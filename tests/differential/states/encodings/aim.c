/* aim.c: registers and displacements for an address that was chosen (see aim.h). */
#include "aim.h"

#include "chance.h"

static unsigned number_of(ZydisRegister reg)
{
    static const uint8_t by_encoding[16] = {
        SEGUE_RAX, SEGUE_RCX, SEGUE_RDX, SEGUE_RBX, SEGUE_RSP, SEGUE_RBP, SEGUE_RSI, SEGUE_RDI,
        SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15,
    };
    return by_encoding[ZydisRegisterGetId(reg)];
}

static bool patch_displacement(const struct aim_target *target, uint64_t displacement)
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
static bool solve_twice(const struct aim_target *target, uint64_t sum, bool narrow, uint64_t *reg)
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

static bool solve_without_base(const struct aim_target *target, uint64_t address, bool narrow)
{
    const ZydisDecodedOperandMem *mem = &target->operand->mem;
    uint64_t displacement = mem->disp.has_displacement ? (uint64_t)mem->disp.value : 0, low = mem->scale - 1u;
    displacement = (displacement & ~low) | (address & low);
    uint64_t product = address - displacement;
    target->test->registers.general[number_of(mem->index)] = (narrow ? (uint32_t)product : product) / mem->scale;
    return patch_displacement(target, displacement);
}

/* What the index adds to the address; XLAT's is a byte. */
static uint64_t product_of(const struct aim_target *target)
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
static bool solve(const struct aim_target *target, struct random *random, uint64_t address)
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
static bool aim_at(const struct aim_target *target, const struct generator *generator, struct random *random,
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

uint64_t aim_choose_place(const struct generator *generator, struct random *random, unsigned size)
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

bool aim_operands(struct aim_target *target, const ZydisDecodedOperand *operands, const struct generator *generator,
                  struct random *random)
{
    bool any = false;
    for (unsigned i = 0; i < target->instruction->operand_count; i++) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY || operands[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN)
            continue;
        bool aimed = false;
        target->operand = &operands[i];
        for (unsigned k = 0; k < 16 && !aimed; k++)
            aimed = aim_at(target, generator, random, aim_choose_place(generator, random, operands[i].size / 8));
        if (!aimed)
            return false;
        any = true;
    }
    return any;
}
