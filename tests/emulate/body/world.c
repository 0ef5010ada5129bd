/* world.c: see world.h. */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decode/x86/xsave.h"

#define FAR UINT64_C(0x100000000)
#define SP_REACH 0x10000u

struct world world;

static void *map(void *at, size_t size, int access, int file)
{
    void *memory =
        mmap(at, size, access, (file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (at ? MAP_FIXED : 0), file, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

void world_prepare(void)
{
    if (world.original)
        return;
    int file = memfd_create("body", 0);
    if (file < 0 || ftruncate(file, AREA_SIZE))
        abort();
    /* One range, so that all is near; with gaps. SP and ENTER take RSP as far as SP_REACH: what a body writes below it
     * there must be the stack or nothing, wherever the system puts the range. */
    uint8_t *all = map(NULL, 0x60000 + SP_REACH, PROT_NONE, -1);
    all += -(uintptr_t)all % SP_REACH;
    int code = PROT_READ | PROT_WRITE | PROT_EXEC, data = PROT_READ | PROT_WRITE;
    world.original = map(all, CODE_SIZE, code, -1);
    world.bodies = map(all + 0x8000, BODIES_SIZE, code, -1);
    world.near = map(all + 0x14000, NEAR_SIZE, data, -1);
    world.memory = map(all + 0x20000, AREA_SIZE, data, file);
    world.alias = map(all + 0x24000, AREA_SIZE, data, file);
    world.outside = map(all + 0x28000, AREA_SIZE, data, -1);
    world.stack = map(all + 0x50000, STACK_SIZE, data, -1);
    uint8_t *place = map(NULL, 3 * FAR, PROT_NONE, -1);
    uint8_t *far = place > all ? place + 2 * FAR : place;
    world.far_alias = map(far, AREA_SIZE, data, file);
    bool vectors;
    body_thunks_fill((uint64_t *)(void *)(world.near + THUNKS_AT), &vectors);
}

void world_open(bool opened)
{
    mprotect(world.memory, HOT_SIZE, opened ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void world_fill(void)
{
    uint64_t seed = 1;
    for (size_t i = 0; i < AREA_SIZE; i += 8) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(world.alias + i, &seed, 8);
        seed = ~seed;
        memcpy(world.outside + i, &seed, 8);
    }
    memset(world.stack, 0x5a, STACK_SIZE);
}

/* ---- what is compared ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

/* Whether a call through memory is next. */
static bool is_call(uint64_t rip)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)rip;
    code += (*code & 0xf0) == 0x40;
    return code[0] == 0xff && (code[1] & 0x38) == 0x10;
}

/* The program's memory: all but what lies below the red zone; and before a call not the red zone either, where a body
 * stores the return address early. */
uint64_t world_hash_memory(const struct segue_regs *regs, uint64_t red_zone)
{
    uint64_t rsp = regs->rsp + (is_call(regs->rip) ? RED_ZONE : 0);
    uint64_t hash = mix(mix(1, world.alias, AREA_SIZE), world.outside, AREA_SIZE);
    uint64_t bottom = (uint64_t)(uintptr_t)world.stack, from = rsp - RED_ZONE;
    if (from < red_zone || from > bottom + STACK_SIZE)
        from = red_zone;
    if (from < bottom)
        from = bottom;
    for (; from & 7; from++)
        hash = hash * 31 + *(const uint8_t *)(uintptr_t)from;
    return mix(hash, (const void *)(uintptr_t)from, bottom + STACK_SIZE - from);
}

/* x87, SSE, AVX and the masks. A component that is not in the area is in its initial state: zero. */
uint64_t world_hash_state(const void *state)
{
    static const uint8_t zero[1024], components[] = {STATE_AVX, STATE_OPMASK, STATE_ZMM_HI256, STATE_HI16_ZMM};
    const uint8_t *bytes = state;
    uint64_t features, hash = mix(mix(1, bytes + XSAVE_MXCSR, 8), bytes + XSAVE_ST, XSAVE_XMM_END - XSAVE_ST);
    memcpy(&features, bytes + XSAVE_XSTATE_BV, sizeof features);
    for (size_t i = 0; i < sizeof components; i++) {
        struct xsave_component place;
        if (!xsave_find(components[i], &place) || place.size > sizeof zero)
            continue;
        hash = mix(hash, features >> components[i] & 1 ? bytes + place.offset : zero, place.size);
    }
    return hash;
}

/* Accesses of the instruction that are wholly in the region: those of one operand are one. */
unsigned world_accesses_inside(const struct segue_regs *regs, const void *state)
{
    struct segue_xstate xstate = {
        .area = (void *)(uintptr_t)state, .size = (uint32_t)stepper_state_size(), .features = xsave_enabled()};
    struct segue_insn insn;
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count, inside = 0;
    if (segue_decode(SEGUE_MODE_64, (const void *)(uintptr_t)regs->rip, SEGUE_INSN_BYTES, &insn) != SEGUE_OK ||
        segue_accesses(&insn, regs, &xstate, accesses, SEGUE_ACCESSES_MOST, &count) != SEGUE_OK)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (is_in(accesses[i].address, world.memory, HOT_SIZE) &&
            accesses[i].address + accesses[i].size <= (uint64_t)(uintptr_t)world.memory + HOT_SIZE)
            inside = 1;
    return (unsigned)inside;
}

/* ---- code ---- */

/* LEA of three registers, numbered as in encodings. */
static size_t write_lea(uint8_t *code, unsigned to, unsigned base, unsigned index)
{
    code[0] = (uint8_t)(0x48 | (to >= 8 ? 4 : 0) | (index >= 8 ? 2 : 0) | (base >= 8 ? 1 : 0));
    code[1] = 0x8d;
    code[2] = (uint8_t)(0x44 | (to & 7) << 3);
    code[3] = (uint8_t)((index & 7) << 3 | (base & 7));
    code[4] = 0;
    return 5;
}

size_t world_use_registers(uint8_t *code, unsigned unused)
{
    enum { RSP = 4, INSTRUCTIONS = 26 };
    size_t size = 0;
    unsigned used[15], count = 0;
    for (unsigned i = 0; i < 16; i++)
        if (i != RSP && i != unused)
            used[count++] = i;
    for (unsigned i = 0; i < INSTRUCTIONS; i++)
        size += write_lea(code + size, used[i * 3 % count], used[(i * 3 + 1) % count], used[(i * 3 + 2) % count]);
    return size;
}
