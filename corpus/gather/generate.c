/* generate.c: enumerates encodings and keeps a few of each form.
 *
 * The fields that a decoder's tables branch on are enumerated: encoding, map, opcode, mandatory prefix, W, vector
 * length, ModRM.mod, reg and rm, address shape, other prefixes. For fields on which no table branches, the values are
 * enumerated at which an implementation may go wrong: boundaries of displacements and immediates, extension bits,
 * masks. Zydis gets every draft; form.h decides what is new. A part is one opcode byte of one map.
 *
 * SOURCES: Intel SDM volume 2, chapter 2 and appendix A; AMD APM volume 3, appendix A. */
#include <segue/decode.h>
#include <string.h>

#include "gather.h"

/* An encoding and a map; the fields as the encoding has them. */
struct plane {
    enum { LEGACY, XOP, VEX2, VEX3, EVEX } encoding;
    uint8_t map;
};

static const struct plane planes[] = {
    {LEGACY, 0}, {LEGACY, 1}, {LEGACY, 2}, {LEGACY, 3}, {LEGACY, 4}, {VEX2, 1}, {VEX3, 0}, {VEX3, 1},
    {VEX3, 2},   {VEX3, 3},   {VEX3, 4},   {VEX3, 7},   {XOP, 8},    {XOP, 9},  {XOP, 10}, {XOP, 11},
    {EVEX, 0},   {EVEX, 1},   {EVEX, 2},   {EVEX, 3},   {EVEX, 4},   {EVEX, 5}, {EVEX, 6}, {EVEX, 7},
};
#define PLANES (sizeof planes / sizeof *planes)

/* Bytes under construction. */
struct draft {
    struct corpus_gathered *gathered;
    uint8_t bytes[CORPUS_SLOT_BYTES];
    size_t size;
    bool failed;
};

static void put(struct draft *draft, unsigned byte)
{
    draft->bytes[draft->size++] = (uint8_t)byte;
}

static void put_all(struct draft *draft, const uint8_t *bytes, size_t count)
{
    memcpy(draft->bytes + draft->size, bytes, count);
    draft->size += count;
}

/* Offers the bytes put so far, followed by one byte repeated, as displacement and immediate. */
static void offer_filled(struct draft *draft, unsigned fill)
{
    ZydisDecoder decoder;
    struct corpus_zydis zydis;
    struct segue_insn insn;
    struct corpus_row row = {0};
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    memset(draft->bytes + draft->size, (int)fill, CORPUS_SLOT_BYTES - draft->size);
    bool accepted = ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, draft->bytes, CORPUS_SLOT_BYTES, &zydis.instruction, zydis.operands));
    /* Of a refused draft, enough bytes to hold all that a decoder could have read. */
    row.length = accepted ? zydis.instruction.length : (uint8_t)(draft->size + 4 > 15 ? draft->size : draft->size + 4);
    memcpy(row.bytes, draft->bytes, row.length);
    if (segue_decode(SEGUE_MODE_64, draft->bytes, CORPUS_SLOT_BYTES, &insn) != SEGUE_OK)
        row.claim = CORPUS_CLAIM_INVALID;
    draft->gathered->instructions++;
    draft->gathered->refused += !accepted;
    if (!corpus_gather(draft->gathered, &row, accepted ? &zydis : NULL))
        draft->failed = true;
}

/* The value that displacement and immediate have in most rows. */
#define PLAIN_FILL 0x12

static void offer(struct draft *draft)
{
    offer_filled(draft, PLAIN_FILL);
}

/* Offers numbers at their boundaries, low byte first: displacement and immediate of any size are in the same place. */
static void offer_boundaries(struct draft *draft)
{
    static const uint8_t ends[] = {0x7f, 0x80};
    size_t size = draft->size;
    offer_filled(draft, 0x00);
    offer_filled(draft, 0xff);
    for (size_t end = 0; end < 2; end++) {
        /* The most or the least of 1, 2, 4 and 8 bytes, then of what follows it. */
        for (size_t width = 1; width <= 8; width *= 2) {
            for (size_t times = 0; times < 2; times++) {
                for (size_t i = 1; i < width; i++)
                    put(draft, end ? 0x00 : 0xff);
                put(draft, ends[end]);
            }
            offer_filled(draft, end ? 0x00 : 0xff);
            draft->size = size;
        }
    }
}

/* ModRM with what belongs to it. */
struct address {
    uint8_t modrm;
    uint8_t sib;
};

#define SIB(modrm) ((modrm) < 0xc0 && ((modrm)&7) == 4)

/* Register; [rax]; RIP; SIB with disp32 alone, with an index, with RSP; disp8; disp32. The reg field is added. */
static const struct address addresses[] = {
    {0xc0, 0},    {0xc3, 0},    {0x00, 0}, {0x05, 0},    {0x04, 0x25}, {0x04, 0x08},
    {0x04, 0x24}, {0x44, 0x4d}, {0x43, 0}, {0x84, 0xe4}, {0x83, 0},
};
#define ADDRESSES (sizeof addresses / sizeof *addresses)

static void offer_address(struct draft *draft, struct address address, unsigned reg)
{
    size_t size = draft->size;
    unsigned modrm = address.modrm | reg << 3;
    put(draft, modrm);
    if (SIB(modrm))
        put(draft, address.sib);
    offer(draft);
    draft->size = size;
}

static void offer_addresses(struct draft *draft, unsigned regs)
{
    for (unsigned reg = 0; reg < regs; reg++)
        for (size_t i = 0; i < ADDRESSES; i++)
            offer_address(draft, addresses[i], reg);
}

/* Every ModRM byte, with the boundaries behind it, and every shape of SIB. */
static void offer_every_address(struct draft *draft)
{
    size_t size = draft->size;
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        put(draft, modrm);
        offer(draft);
        offer_boundaries(draft);
        draft->size = size;
    }
    for (unsigned sib = 0; sib < 256; sib++)
        for (unsigned mod = 0; mod < 3; mod++)
            offer_address(draft, (struct address){(uint8_t)(mod << 6 | 4), (uint8_t)sib}, 0);
}

/* Prefixes that may stand before an opcode, and some that may not. */
static const struct {
    uint8_t count;
    uint8_t bytes[6];
} prefix_sets[] = {
    {0, {0}},
    {1, {0x66}},
    {1, {0xf2}},
    {1, {0xf3}},
    {2, {0x66, 0xf2}},
    {2, {0x66, 0xf3}},
    {1, {0x67}},
    {1, {0xf0}},
    {2, {0xf2, 0xf0}},
    {2, {0xf3, 0xf0}},
    {1, {0x64}},
    {1, {0x65}},
    {1, {0x2e}},
    {1, {0x36}},
    {1, {0x3e}},
    {1, {0x26}},
    {2, {0x66, 0x67}},
    {2, {0x67, 0xf3}},
    {2, {0x66, 0x66}},
    {2, {0xf2, 0xf3}},
    {2, {0xf3, 0xf2}},
    {2, {0x64, 0x67}},
    {2, {0x64, 0x65}},
    {2, {0x66, 0xf0}},
    {3, {0x66, 0xf3, 0x67}},
    {3, {0x2e, 0x66, 0xf2}},
};

/* REX prefixes, 0 for none: each bit by itself, none and all. */
static const uint8_t rexes[] = {0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4f};

static void put_legacy_opcode(struct draft *draft, unsigned map, unsigned opcode)
{
    static const struct {
        uint8_t count;
        uint8_t bytes[2];
    } escapes[] = {{0, {0}}, {1, {0x0f}}, {2, {0x0f, 0x38}}, {2, {0x0f, 0x3a}}};
    put_all(draft, escapes[map].bytes, escapes[map].count);
    put(draft, opcode);
}

/* Prefixes that precede an opcode wrongly or needlessly. */
static void offer_odd_prefixes(struct draft *draft, unsigned map, unsigned opcode)
{
    static const uint8_t odd[][14] = {
        {2, 0x48, 0x66},
        {2, 0x48, 0x40},
        {3, 0x40, 0x48, 0x66},
        {2, 0x41, 0x2e},
        {4, 0x66, 0x66, 0x66, 0x66},
        {12, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66},
        {13, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        draft->size = 0;
        put_all(draft, odd[i] + 1, odd[i][0]);
        put_legacy_opcode(draft, map, opcode);
        offer_address(draft, (struct address){0x00, 0}, 0);
        offer_address(draft, (struct address){0xc0, 0}, 0);
    }
}

/* Bytes of the first map that are prefixes or lead to another map or encoding; those are enumerated where they belong.
 */
static bool is_no_opcode(unsigned byte)
{
    static const uint8_t others[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65,
                                     0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3};
    return (byte & 0xf0) == 0x40 || memchr(others, (int)byte, sizeof others);
}

/* Every ModRM with each mandatory prefix: some opcodes depend on all of ModRM (F3 0F 1E FA). */
static void offer_every_modrm(struct draft *draft, unsigned map, unsigned opcode)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3};
    for (size_t i = 0; i < sizeof prefixes; i++)
        for (unsigned modrm = 0; modrm < 256; modrm++) {
            draft->size = 0;
            put(draft, prefixes[i]);
            put_legacy_opcode(draft, map, opcode);
            put(draft, modrm);
            offer(draft);
        }
}

static void generate_legacy(struct draft *draft, unsigned map, unsigned opcode)
{
    if (map == 0 && is_no_opcode(opcode))
        return;
    draft->size = 0;
    put_legacy_opcode(draft, map, opcode);
    offer_every_address(draft);
    offer_every_modrm(draft, map, opcode);
    for (size_t i = 0; i < sizeof prefix_sets / sizeof *prefix_sets; i++) {
        for (size_t j = 0; j < sizeof rexes; j++) {
            draft->size = 0;
            put_all(draft, prefix_sets[i].bytes, prefix_sets[i].count);
            if (rexes[j])
                put(draft, rexes[j]);
            put_legacy_opcode(draft, map, opcode);
            offer_addresses(draft, 8);
        }
    }
    offer_odd_prefixes(draft, map, opcode);
}

/* 3DNow!: the opcode comes last. */
static void generate_3dnow(struct draft *draft, unsigned opcode)
{
    for (size_t i = 0; i < ADDRESSES; i++) {
        draft->size = 0;
        put(draft, 0x0f);
        put(draft, 0x0f);
        put(draft, addresses[i].modrm);
        if (SIB(addresses[i].modrm))
            put(draft, addresses[i].sib);
        static const uint8_t displacement_sizes[] = {0, 1, 4, 0};
        size_t displacement = displacement_sizes[addresses[i].modrm >> 6];
        if (addresses[i].modrm == 0x05 || addresses[i].sib == 0x25)
            displacement = 4;
        for (size_t j = 0; j < displacement; j++)
            put(draft, PLAIN_FILL);
        put(draft, opcode);
        offer(draft);
    }
}

/* Prefixes that make VEX, XOP and EVEX undefined, or may stand before them. */
static const uint8_t vector_prefixes[] = {0x67, 0x64, 0x66, 0xf2, 0xf3, 0xf0, 0x48};

/* Offers a vector instruction whose prefix has been put: plain, and after each of the other prefixes. */
static void offer_with_prefixes(struct draft *draft)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    size_t size = draft->size;
    memcpy(bytes, draft->bytes, size);
    for (size_t i = 0; i < sizeof vector_prefixes; i++) {
        draft->size = 0;
        put(draft, vector_prefixes[i]);
        put_all(draft, bytes, size);
        offer_address(draft, (struct address){0xc1, 0}, 0);
        offer_address(draft, (struct address){0x04, 0x08}, 0);
    }
    draft->size = 0;
    put_all(draft, bytes, size);
}

static void generate_vex2(struct draft *draft, unsigned opcode)
{
    for (unsigned second = 0; second < 256; second += 1) {
        /* vvvv is unused, one register, or another. */
        unsigned vvvv = (second >> 3) & 15;
        if (vvvv != 15 && vvvv != 10)
            continue;
        draft->size = 0;
        put(draft, 0xc5);
        put(draft, second);
        put(draft, opcode);
        offer_addresses(draft, 8);
        offer_with_prefixes(draft);
    }
}

/* Three bytes, of VEX or XOP; extension bits all clear, each by itself, and all set (they are stored inverted). */
static void generate_vex3(struct draft *draft, unsigned escape, unsigned map, unsigned opcode)
{
    static const uint8_t extensions[] = {0xe0, 0x60, 0xa0, 0xc0, 0x00};
    for (size_t i = 0; i < sizeof extensions; i++) {
        for (unsigned third = 0; third < 256; third++) {
            unsigned vvvv = (third >> 3) & 15;
            if (vvvv != 15 && vvvv != 10 && vvvv != 5)
                continue;
            draft->size = 0;
            put(draft, escape);
            put(draft, extensions[i] | map);
            put(draft, third);
            put(draft, opcode);
            offer_addresses(draft, i ? 2 : 8);
            if (i == 0)
                offer_with_prefixes(draft);
        }
    }
}

/* EVEX's last byte without V': no mask, merging, zeroing without and with a mask. */
static const uint8_t masks[] = {0x00, 0x01, 0x80, 0x87};

static void offer_evex(struct draft *draft, unsigned first, unsigned second, unsigned third, unsigned opcode)
{
    bool plain = (first & 0xf0) == 0xf0 && (third & 0x97) == 0;
    draft->size = 0;
    put(draft, 0x62);
    put(draft, first);
    put(draft, second);
    put(draft, third);
    put(draft, opcode);
    offer_addresses(draft, plain ? 8 : 1);
    /* A disp8 is multiplied: its boundaries count. */
    put(draft, 0x41);
    offer_filled(draft, 0x7f);
    offer_filled(draft, 0x80);
    draft->size--;
    if (plain)
        offer_with_prefixes(draft);
}

/* Whether Zydis knows any instruction with these fields: with or without memory, at any length, broadcast or not. */
static bool is_known_evex(struct draft *draft, unsigned map, unsigned second, unsigned opcode)
{
    struct corpus_gathered *gathered = draft->gathered;
    uint64_t accepted = gathered->instructions - gathered->refused;
    for (unsigned third_high = 0; third_high < 8; third_high++) {
        for (unsigned mask = 0; mask < 2; mask++) {
            draft->size = 0;
            put_all(draft,
                    (uint8_t[]){0x62, (uint8_t)(0xf0 | map), (uint8_t)second, (uint8_t)(third_high << 4 | 8 | mask),
                                (uint8_t)opcode},
                    5);
            offer_addresses(draft, 8);
        }
    }
    return gathered->instructions - gathered->refused > accepted;
}

static void generate_evex(struct draft *draft, unsigned map, unsigned opcode)
{
    /* R X B R' stored inverted: none, each, all. */
    static const uint8_t extensions[] = {0xf0, 0x70, 0xb0, 0xd0, 0xe0, 0x00};
    /* W and pp; vvvv and V' unused or 5 or 21; U set. */
    for (unsigned wpp = 0; wpp < 8; wpp++) {
        unsigned second = (wpp & 4) << 5 | 4 | (wpp & 3);
        if (!is_known_evex(draft, map, second | 0x78, opcode) && !is_known_evex(draft, map, second | 0x50, opcode))
            continue;
        for (unsigned third_high = 0; third_high < 8; third_high++) {
            for (size_t mask = 0; mask < sizeof masks; mask++) {
                unsigned third = third_high << 4 | masks[mask];
                for (size_t i = 0; i < sizeof extensions; i++) {
                    offer_evex(draft, extensions[i] | map, second | 0x78, third | 8, opcode);
                    offer_evex(draft, extensions[i] | map, second | 0x50, third | (i == 5 ? 0 : 8), opcode);
                }
            }
        }
    }
    /* U clear: MVEX, and after it APX. */
    offer_evex(draft, 0xf0 | map, 0x78, 0x08, opcode);
    offer_evex(draft, 0xf0 | map, 0xf9, 0x48, opcode);
}

static bool generate_part(void *context, size_t number, struct corpus_gathered *gathered)
{
    const struct plane *plane = &planes[number % PLANES];
    unsigned opcode = (unsigned)(number / PLANES);
    struct draft draft = {.gathered = gathered};
    (void)context;
    switch (plane->encoding) {
    case LEGACY:
        if (plane->map == 4)
            generate_3dnow(&draft, opcode);
        else
            generate_legacy(&draft, plane->map, opcode);
        break;
    case XOP:
        generate_vex3(&draft, 0x8f, plane->map, opcode);
        break;
    case VEX2:
        generate_vex2(&draft, opcode);
        break;
    case VEX3:
        generate_vex3(&draft, 0xc4, plane->map, opcode);
        break;
    case EVEX:
        generate_evex(&draft, plane->map, opcode);
        break;
    }
    return !draft.failed;
}

bool corpus_gather_generated(unsigned jobs, corpus_progress *progress, struct corpus_gathered *gathered,
                             struct corpus_error *error)
{
    return corpus_gather_parts(generate_part, NULL, PLANES * 256, jobs, progress, gathered, error);
}
