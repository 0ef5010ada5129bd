/* access_forms.c: every form of every instruction that the decoder knows (see access_forms.h).
 *
 * SOURCES: Intel SDM volume 2, 2.1 to 2.3 and 2.7 (prefixes, REX, VEX, EVEX); AMD APM volume 3, 1.8 (XOP), volume 5 on
 * 3DNow!, whose opcode follows the operand. */
#include "access_forms.h"

#include <string.h>

/* A set of forms that have been visited, by their hashes. */
#define SEEN_PLACES (1u << 16)

struct walk {
    enum segue_mode mode;
    access_form_visitor *visit;
    void *context;
    uint64_t encodings;
    uint64_t seen[SEEN_PLACES];
};

/* Operands: [rbx]; [rbx+rcx]; [rsp]; [rbx+disp8]; [rip]; and registers 1 and 0, for opcodes that differ by
 * them. */
static const struct {
    uint8_t modrm, sib;
    bool has_sib;
} operands[] = {{0x03, 0, false}, {0x04, 0x0b, true}, {0x04, 0x24, true}, {0x43, 0, false},
                {0xc1, 0, false}, {0xc0, 0, false},   {0xc2, 0, false},   {0xc3, 0, false},
                {0xc4, 0, false}, {0xc5, 0, false},   {0xc6, 0, false},   {0xc7, 0, false}};
#define OPERANDS (sizeof operands / sizeof *operands)
/* The first so many are in memory. */
#define MEMORY_OPERANDS 4

static uint64_t hash(uint64_t sum, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    return sum;
}

/* What makes a form: all but the index, the numbers of registers and the displacement's value. */
static uint64_t form_of(const struct segue_insn *insn)
{
    const uint8_t facts[] = {insn->flags, insn->class_, insn->unlisted, insn->memory_count, insn->address_size};
    uint64_t sum = hash(0xcbf29ce484222325, &insn->mnemonic, sizeof insn->mnemonic);
    sum = hash(sum, facts, sizeof facts);
    for (size_t i = 0; i < insn->memory_count; i++) {
        struct segue_memory_operand memory;
        memcpy(&memory, &insn->memory[i], sizeof memory);
        /* The stack pointer as a base is a form of its own: PUSH and POP move it. */
        memory.base = memory.base == SEGUE_RSP;
        memory.index = memory.scale = 0;
        memory.mask = memory.mask != 0;
        memory.displacement = memory.displacement != 0;
        sum = hash(sum, &memory, sizeof memory);
    }
    return sum | 1;
}

static void decode(struct walk *walk, const uint8_t *bytes, size_t size)
{
    struct segue_insn insn;
    walk->encodings++;
    if (segue_decode(walk->mode, bytes, size, &insn) != SEGUE_OK)
        return;
    uint64_t form = form_of(&insn);
    size_t at = (size_t)(form >> 20) % SEEN_PLACES;
    while (walk->seen[at] && walk->seen[at] != form)
        at = (at + 1) % SEEN_PLACES;
    if (walk->seen[at] == form)
        return;
    walk->seen[at] = form;
    walk->visit(&insn, walk->context);
}

/* Opcode and operand after `length` bytes of prefixes; what follows serves as displacement, immediate and 3DNow!
 * opcode. */
static void with_operands(struct walk *walk, uint8_t bytes[SEGUE_INSN_BYTES], size_t length, uint8_t opcode)
{
    bytes[length++] = opcode;
    for (unsigned reg = 0; reg < 8; reg++) {
        for (size_t i = 0; i < OPERANDS; i++) {
            size_t at = length;
            memset(bytes + at, 0, SEGUE_INSN_BYTES - at);
            bytes[at++] = (uint8_t)(operands[i].modrm | reg << 3);
            if (operands[i].has_sib)
                bytes[at++] = operands[i].sib;
            /* ENTER's nesting level and others' small immediates. */
            if (at + 2 < SEGUE_INSN_BYTES)
                bytes[at + 1] = 3;
            decode(walk, bytes, SEGUE_INSN_BYTES);
        }
    }
}

static void legacy(struct walk *walk)
{
    static const struct {
        uint8_t size, bytes[3];
    } prefixes[] = {{0, {0}},
                    {1, {0x66}},
                    {1, {0xf2}},
                    {1, {0xf3}},
                    {1, {0xf0}},
                    {1, {0x67}},
                    {1, {0x65}},
                    {2, {0x66, 0xf2}},
                    {2, {0x66, 0xf3}},
                    {2, {0x67, 0xf2}},
                    {2, {0x67, 0xf3}},
                    {2, {0xf0, 0x66}},
                    {1, {0x48}},
                    {2, {0x66, 0x48}},
                    {2, {0xf2, 0x48}},
                    {2, {0xf3, 0x48}},
                    {2, {0xf0, 0x48}},
                    {2, {0x67, 0x48}},
                    {3, {0x67, 0xf3, 0x48}}};
    static const struct {
        uint8_t size, bytes[2];
    } maps[] = {{0, {0}}, {1, {0x0f}}, {2, {0x0f, 0x38}}, {2, {0x0f, 0x3a}}};
    uint8_t bytes[SEGUE_INSN_BYTES];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        /* In 32-bit mode 48h is an instruction. */
        if (walk->mode == SEGUE_MODE_32 && prefixes[i].bytes[prefixes[i].size ? prefixes[i].size - 1 : 0] == 0x48)
            continue;
        for (size_t map = 0; map < sizeof maps / sizeof *maps; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                memcpy(bytes, prefixes[i].bytes, prefixes[i].size);
                memcpy(bytes + prefixes[i].size, maps[map].bytes, maps[map].size);
                with_operands(walk, bytes, prefixes[i].size + (size_t)maps[map].size, (uint8_t)opcode);
            }
    }
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        const uint8_t now[SEGUE_INSN_BYTES] = {0x0f, 0x0f, 0x03, (uint8_t)opcode};
        decode(walk, now, sizeof now);
    }
}

/* VEX, and XOP, which differs in its first byte and its maps. */
static void vex(struct walk *walk)
{
    static const struct {
        uint8_t first, map;
    } maps[] = {{0xc4, 1}, {0xc4, 2}, {0xc4, 3}, {0x8f, 8}, {0x8f, 9}, {0x8f, 10}};
    uint8_t bytes[SEGUE_INSN_BYTES];
    for (size_t map = 0; map < sizeof maps / sizeof *maps; map++)
        for (unsigned fields = 0; fields < 32; fields++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                /* W, L and pp; vvvv none, or register 2. */
                unsigned vvvv = fields & 16 ? 0xd : 0xf;
                bytes[0] = maps[map].first;
                bytes[1] = (uint8_t)(0xe0 | maps[map].map);
                bytes[2] = (uint8_t)((fields & 8) << 4 | vvvv << 3 | (fields & 7));
                with_operands(walk, bytes, 3, (uint8_t)opcode);
            }
}

static void evex(struct walk *walk)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    for (unsigned map = 1; map <= 6; map++)
        for (unsigned fields = 0; fields < 256; fields++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                /* pp, W, vvvv none or register 2; length, broadcast, and a mask, merging or zeroing. */
                unsigned pp = fields & 3, w = fields >> 2 & 1, vvvv = fields & 8 ? 0xd : 0xf;
                unsigned ll = fields >> 4 & 3, b = fields >> 6 & 1, k = fields >> 7;
                bytes[0] = 0x62;
                bytes[1] = (uint8_t)(0xf0 | map);
                bytes[2] = (uint8_t)(w << 7 | vvvv << 3 | 4 | pp);
                bytes[3] = (uint8_t)(ll << 5 | b << 4 | 8 | k);
                with_operands(walk, bytes, 4, (uint8_t)opcode);
                bytes[3] |= 0x80;
                if (k)
                    with_operands(walk, bytes, 4, (uint8_t)opcode);
            }
}

uint64_t access_forms(enum segue_mode mode, access_form_visitor *visit, void *context)
{
    static struct walk walk;
    memset(&walk, 0, sizeof walk);
    walk.mode = mode;
    walk.visit = visit;
    walk.context = context;
    legacy(&walk);
    vex(&walk);
    evex(&walk);
    return walk.encodings;
}
