/* shape.c: reads an instruction's encoding from its bytes alone.
 *
 * SOURCES: Intel SDM volume 2, 2.1 to 2.7; AMD APM volume 3, 1.2 and 1.9 (XOP); Intel APX architecture specification
 * (355828), 3.1 (REX2, extended EVEX). */
#include "shape.h"

#include <string.h>

const char *const corpus_encoding_names[CORPUS_ENCODINGS] = {"legacy", "3dnow", "xop", "vex", "evex", "rex2"};
const char *const corpus_prefix_names[11] = {"26", "2e", "36", "3e", "64", "65", "66", "67", "f0", "f2", "f3"};

static const uint8_t prefix_bytes[11] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
#define SEGMENTS                                                                                                       \
    (CORPUS_PREFIX_26 | CORPUS_PREFIX_2E | CORPUS_PREFIX_36 | CORPUS_PREFIX_3E | CORPUS_PREFIX_64 | CORPUS_PREFIX_65)
#define GROUP1 (CORPUS_PREFIX_F0 | CORPUS_PREFIX_F2 | CORPUS_PREFIX_F3)

static unsigned prefix_bit(uint8_t byte)
{
    for (unsigned i = 0; i < sizeof prefix_bytes; i++)
        if (prefix_bytes[i] == byte)
            return 1u << i;
    return 0;
}

static unsigned group_of(unsigned bit)
{
    if (bit & SEGMENTS)
        return SEGMENTS;
    return bit & GROUP1 ? GROUP1 : bit;
}

static const uint8_t *read_prefixes(const uint8_t *at, const uint8_t *end, struct corpus_shape *shape)
{
    for (; at < end; at++) {
        unsigned bit = prefix_bit(*at);
        bool rex = (*at & 0xf0) == 0x40;
        if (!bit && !rex)
            break;
        shape->lost_rex = (uint8_t)(shape->lost_rex + (shape->rex != 0));
        shape->rex = rex ? *at : 0;
        shape->repeated = (uint8_t)(shape->repeated + ((shape->prefixes & group_of(bit)) != 0));
        shape->prefixes = (uint16_t)(shape->prefixes | bit);
        shape->prefix_count++;
    }
    return at;
}

static void read_modrm(const uint8_t *at, struct corpus_shape *shape)
{
    shape->mod = at[0] >> 6;
    shape->reg = (at[0] >> 3) & 7;
    shape->rm = at[0] & 7;
}

static const uint8_t *read_vex2(const uint8_t *at, struct corpus_shape *shape)
{
    shape->encoding = CORPUS_ENCODING_VEX;
    shape->map = 1;
    shape->vvvv = (at[1] >> 3) & 15;
    shape->ll = (at[1] >> 2) & 1;
    shape->pp = at[1] & 3;
    return at + 2;
}

static const uint8_t *read_vex3(const uint8_t *at, struct corpus_shape *shape)
{
    shape->encoding = at[0] == 0x8f ? CORPUS_ENCODING_XOP : CORPUS_ENCODING_VEX;
    shape->map = at[1] & 31;
    shape->w = at[2] >> 7;
    shape->vvvv = (at[2] >> 3) & 15;
    shape->ll = (at[2] >> 2) & 1;
    shape->pp = at[2] & 3;
    return at + 3;
}

static const uint8_t *read_evex(const uint8_t *at, struct corpus_shape *shape)
{
    shape->encoding = CORPUS_ENCODING_EVEX;
    shape->map = at[1] & 7;
    shape->b4 = (at[1] >> 3) & 1;
    shape->w = at[2] >> 7;
    shape->vvvv = (uint8_t)(((at[2] >> 3) & 15) | ((at[3] & 8) << 1));
    shape->u = (at[2] >> 2) & 1;
    shape->pp = at[2] & 3;
    shape->z = at[3] >> 7;
    shape->ll = (at[3] >> 5) & 3;
    shape->b = (at[3] >> 4) & 1;
    shape->aaa = at[3] & 7;
    return at + 4;
}

/* M0 R4 X4 B4 W R3 X3 B3. */
static const uint8_t *read_rex2(const uint8_t *at, struct corpus_shape *shape)
{
    shape->encoding = CORPUS_ENCODING_REX2;
    shape->map = at[1] & 0x80 ? 0x0f : 0;
    shape->w = (at[1] >> 3) & 1;
    return at + 2;
}

static const uint8_t *read_legacy(const uint8_t *at, struct corpus_shape *shape)
{
    shape->w = (shape->rex >> 3) & 1;
    if (at[0] != 0x0f)
        return at;
    shape->map = 0x0f;
    if (at[1] == 0x38 || at[1] == 0x3a) {
        shape->map = at[1];
        return at + 2;
    }
    if (at[1] == 0x0f)
        shape->encoding = CORPUS_ENCODING_3DNOW;
    return at + 1;
}

void corpus_shape_read(const uint8_t *slot, struct corpus_shape *shape)
{
    memset(shape, 0, sizeof *shape);
    const uint8_t *at = read_prefixes(slot, slot + 24, shape);
    if (at[0] == 0xc5)
        at = read_vex2(at, shape);
    else if (at[0] == 0xc4 || (at[0] == 0x8f && (at[1] & 31) >= 8))
        at = read_vex3(at, shape);
    else if (at[0] == 0x62)
        at = read_evex(at, shape);
    else if (at[0] == 0xd5)
        at = read_rex2(at, shape);
    else
        at = read_legacy(at, shape);
    shape->opcode = at[0];
    shape->opcode_at = (uint8_t)(at - slot);
    read_modrm(at + 1, shape);
}
