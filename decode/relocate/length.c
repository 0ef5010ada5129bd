/* length.c: length disassembly by three tables, with one letter for each opcode.
 *
 *   .  nothing follows the opcode          m  ModRM              x  undefined in 64-bit mode
 *   b  an immediate byte                   B  ModRM, byte        p  a prefix, or an escape to another table
 *   z  4 bytes, or 2 with 66h              Z  ModRM, then z      j  4 bytes (a branch), whatever the prefixes
 *   v  z, or 8 with REX.W                  w  2 bytes            e  3 bytes (ENTER)
 *   o  an address: 8 bytes, 4 with 67h     r  ModRM that names registers whatever its mod field
 *   t, T  ModRM, and for reg 0 and 1 (TEST) an immediate byte, or z
 *
 * SOURCES: Intel SDM volume 2, appendix A (opcode maps) and chapter 2 (ModRM, VEX, EVEX); AMD APM volume 6 (XOP). A
 * test compares every length with Zydis's. */
#include "length.h"

#include <stdbool.h>
#include <string.h>

static const char one_byte[] = "mmmmbzxxmmmmbzxp" /* 00 */
                               "mmmmbzxxmmmmbzxx" /* 10 */
                               "mmmmbzpxmmmmbzpx" /* 20 */
                               "mmmmbzpxmmmmbzpx" /* 30 */
                               "pppppppppppppppp" /* 40 */
                               "................" /* 50 */
                               "xxpmppppzZbB...." /* 60 */
                               "bbbbbbbbbbbbbbbb" /* 70 */
                               "BZxBmmmmmmmmmmmm" /* 80 */
                               "..........x....." /* 90 */
                               "oooo....bz......" /* a0 */
                               "bbbbbbbbvvvvvvvv" /* b0 */
                               "BBw.ppBZe.w..bx." /* c0 */
                               "mmmmxxx.mmmmmmmm" /* d0 */
                               "bbbbbbbbjjxb...." /* e0 */
                               "p.pp..tT......mm" /* f0 */;

static const char two_byte[] = "mmmmx.....x.xm.B" /* 00 */
                               "mmmmmmmmmmmmmmmm" /* 10 */
                               "rrrrxxxxmmmmmmmm" /* 20 */
                               "......x.pxpxxxxx" /* 30 */
                               "mmmmmmmmmmmmmmmm" /* 40 */
                               "mmmmmmmmmmmmmmmm" /* 50 */
                               "mmmmmmmmmmmmmmmm" /* 60 */
                               "BBBBmmm.mmxxmmmm" /* 70 */
                               "jjjjjjjjjjjjjjjj" /* 80 */
                               "mmmmmmmmmmmmmmmm" /* 90 */
                               "...mBmxx...mBmmm" /* a0 */
                               "mmmmmmmmmmBmmmmm" /* b0 */
                               "mmBmBBBm........" /* c0 */
                               "mmmmmmmmmmmmmmmm" /* d0 */
                               "mmmmmmmmmmmmmmmm" /* e0 */
                               "mmmmmmmmmmmmmmmm" /* f0 */;

#define LONGEST 15u
#define OPERAND_SIZE 1u
#define ADDRESS_SIZE 2u

/* What has been read so far. `at` is the next byte. */
struct reading {
    const uint8_t *bytes;
    size_t size;
    unsigned at;
    unsigned overrides;
    uint8_t rex;
};

static void read_prefixes(struct reading *reading, struct outline *outline)
{
    for (; reading->at < reading->size; reading->at++) {
        uint8_t byte = reading->bytes[reading->at];
        if ((byte & 0xf0) == 0x40) {
            reading->rex = byte;
            continue;
        }
        if (one_byte[byte] != 'p' || byte == 0x0f || byte == 0x62 || byte == 0xc4 || byte == 0xc5)
            return;
        /* REX has an effect only immediately before the opcode. */
        reading->rex = 0;
        switch (byte) {
        case 0x64:
        case 0x65:
            outline->segments |= (uint8_t)(byte == 0x64 ? 1 : 2);
            break;
        case 0x66:
            reading->overrides |= OPERAND_SIZE;
            break;
        case 0x67:
            reading->overrides |= ADDRESS_SIZE;
            break;
        case 0xf2:
        case 0xf3:
            outline->repeat = byte;
            break;
        default:
            break;
        }
    }
}

/* The bytes of ModRM, SIB and displacement, by ModRM. SIB_BASE: four more if the base in SIB is 5. */
#define SIB_BASE 0x80
#define ALL_REGS(...)                                                                                                  \
    {                                                                                                                  \
        __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__         \
    }
static const uint8_t modrm_lengths[4][64] = {
    ALL_REGS(1, 1, 1, 1, 2 | SIB_BASE, 5, 1, 1),
    ALL_REGS(2, 2, 2, 2, 3, 2, 2, 2),
    ALL_REGS(5, 5, 5, 5, 6, 5, 5, 5),
    ALL_REGS(1, 1, 1, 1, 1, 1, 1, 1),
};

static inline unsigned modrm_length(const uint8_t *modrm)
{
    unsigned entry = modrm_lengths[modrm[0] >> 6][modrm[0] & 63];
    if (entry & SIB_BASE)
        return (modrm[1] & 7) == 5 ? 6 : 2;
    return entry;
}

static unsigned immediate_length(char form, const struct reading *reading, uint8_t modrm)
{
    bool wide = reading->rex & 8;
    unsigned word = (reading->overrides & OPERAND_SIZE) && !wide ? 2 : 4;
    switch (form) {
    case 'b':
    case 'B':
        return 1;
    case 'w':
        return 2;
    case 'e':
        return 3;
    case 'j':
        return 4;
    case 'z':
    case 'Z':
        return word;
    case 'v':
        return wide ? 8 : word;
    case 'o':
        return reading->overrides & ADDRESS_SIZE ? 4 : 8;
    case 't':
        return (modrm & 0x38) <= 8 ? 1 : 0;
    case 'T':
        return (modrm & 0x38) <= 8 ? word : 0;
    default:
        return 0;
    }
}

/* The letter of an opcode in a map of VEX, EVEX or XOP. */
static char vector_form(unsigned map, uint8_t opcode)
{
    switch (map) {
    case 1:
        /* EVEX uses some opcodes that are undefined in the legacy map, for instructions with ModRM. */
        return two_byte[opcode] == 'x' ? 'm' : two_byte[opcode];
    case 2:
    case 5:
    case 6:
    case 9:
        return 'm';
    case 3:
    case 8:
        return 'B';
    default:
        return 'x';
    }
}

/* The bytes before the last opcode byte, and the opcode map. */
static unsigned escape_length(const uint8_t *bytes, unsigned *map)
{
    *map = 0;
    switch (bytes[0]) {
    case 0x0f:
        *map = bytes[1] == 0x38 ? 2 : bytes[1] == 0x3a ? 3 : 1;
        return *map == 1 ? 1 : 2;
    case 0x62:
        *map = bytes[1] & 7;
        return 4;
    case 0x8f:
        *map = (bytes[1] & 0x1f) >= 8 ? bytes[1] & 0x1f : 0;
        return *map ? 3 : 0;
    case 0xc4:
        *map = bytes[1] & 0x1f;
        return 3;
    case 0xc5:
        *map = 1;
        return 2;
    default:
        return 0;
    }
}

static char form_of(const uint8_t *bytes, unsigned escape, unsigned map, const struct reading *reading)
{
    uint8_t opcode = bytes[escape];
    if (escape == 0)
        return one_byte[opcode];
    if (bytes[0] != 0x0f)
        return reading->rex ? 'x' : vector_form(map, opcode);
    if (map == 1)
        /* EXTRQ and INSERTQ have two immediate bytes; they are too rare to have a letter here. */
        return opcode == 0x78 && reading->bytes != bytes ? 'x' : two_byte[opcode];
    return map == 2 ? 'm' : 'B';
}

static unsigned outline_whole(const uint8_t *bytes, size_t size, struct outline *outline)
{
    struct reading reading = {.bytes = bytes, .size = size};
    *outline = (struct outline){0};
    unsigned map = 0, modrm_bytes = 0;
    read_prefixes(&reading, outline);
    const uint8_t *opcode = bytes + reading.at;
    unsigned escape = escape_length(opcode, &map);
    char form = form_of(opcode, escape, map, &reading);
    const uint8_t *modrm = opcode + escape + 1;
    if (form == 'x' || form == 'p')
        return 0;
    if (form == 'r')
        modrm_bytes = 1;
    else if (form == 'm' || form == 'B' || form == 'Z' || form == 't' || form == 'T')
        modrm_bytes = modrm_length(modrm);
    outline->opcode = (uint8_t)(reading.at + escape);
    outline->map = (uint8_t)(escape && opcode[0] != 0x0f ? 0xff : map);
    unsigned length = outline->opcode + 1 + modrm_bytes + immediate_length(form, &reading, *modrm);
    outline->length = (uint8_t)length;
    return length <= size ? length : 0;
}

/* What follows most opcodes, by letter: whether there is ModRM, and how many immediate bytes. */
#define PLAIN 0x40
#define MODRM 0x20
static const uint8_t plain_forms[128] = {
    ['.'] = PLAIN,     ['m'] = PLAIN | MODRM,     ['b'] = PLAIN | 1, ['B'] = PLAIN | MODRM | 1,
    ['z'] = PLAIN | 4, ['Z'] = PLAIN | MODRM | 4, ['j'] = PLAIN | 4, ['w'] = PLAIN | 2,
};

/* Fast path for most instructions: no prefix except REX, and one of the first two tables. Returns 0 for all others. All
 * bytes are loaded at once, since each instruction waits for the length of the one before. */
static inline unsigned outline_plain(const uint8_t *bytes, struct outline *outline)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    unsigned rex = (word & 0xf0) == 0x40;
    word >>= 8 * rex;
    unsigned map = (word & 0xff) == 0x0f;
    word >>= 8 * map;
    uint8_t opcode = (uint8_t)word;
    const uint8_t modrm[2] = {(uint8_t)(word >> 8), (uint8_t)(word >> 16)};
    unsigned form = plain_forms[(unsigned char)(map ? two_byte : one_byte)[opcode]];
    bool is_special = map ? opcode == 0x78 : opcode == 0x8f;
    if (!form || is_special)
        return 0;
    /* Without a branch, since whether there is ModRM cannot be predicted. */
    unsigned has_modrm = 0u - (form / MODRM & 1);
    unsigned length = rex + map + 1 + (form & 15) + (modrm_length(modrm) & has_modrm);
    *outline = (struct outline){.length = (uint8_t)length, .opcode = (uint8_t)(rex + map), .map = (uint8_t)map};
    return length;
}

unsigned length_outline(const uint8_t *bytes, size_t size, struct outline *outline)
{
    /* Near the end of the readable bytes: use a copy followed by zeros. */
    if (size < LONGEST + 8) {
        uint8_t copy[2 * LONGEST + 8] = {0};
        size_t held = size < LONGEST ? size : LONGEST;
        memcpy(copy, bytes, held);
        return outline_whole(copy, held, outline);
    }
    unsigned length = outline_plain(bytes, outline);
    return length ? length : outline_whole(bytes, LONGEST, outline);
}

/* The one-byte opcodes without ModRM that have a memory operand: MOV between AL or RAX and an absolute address,
 * strings, XLAT. */
static bool is_implicit_access(uint8_t opcode)
{
    return (opcode >= 0xa0 && opcode <= 0xaf) || opcode == 0xd7 || (opcode >= 0x6c && opcode <= 0x6f);
}

bool length_may_access(const uint8_t *bytes, const struct outline *outline)
{
    uint8_t opcode = bytes[outline->opcode], modrm = bytes[outline->opcode + 1];
    if (outline->map != 0)
        return true;
    char form = one_byte[opcode];
    if (form == 'm' || form == 'B' || form == 'Z' || form == 't' || form == 'T')
        return modrm < 0xc0 && opcode != 0x8d;
    return is_implicit_access(opcode);
}

/* --- What every processor accepts, with no prefix except REX. ---
 *
 *   s  with any ModRM                      -  needs a full decoder
 *   m  with a memory operand               0, 1, h, f  by ModRM.reg: 0; 0 and 1; 4 and above; 0, 1, 2, 4 and 6
 */
static const char sure_one_byte[] = "ssssss--ssssss--" /* 00 */
                                    "ssssss--ssssss--" /* 10 */
                                    "ssssss--ssssss--" /* 20 */
                                    "ssssss--ssssss--" /* 30 */
                                    "----------------" /* 40 */
                                    "ssssssssssssssss" /* 50 */
                                    "---s----ssss----" /* 60 */
                                    "ssssssssssssssss" /* 70 */
                                    "ss-sssssssss-m--" /* 80 */
                                    "ssssssssss------" /* 90 */
                                    "----ssssssssssss" /* a0 */
                                    "ssssssssssssssss" /* b0 */
                                    "ss-s--00-s--s---" /* c0 */
                                    "ssss------------" /* d0 */
                                    "--------ss-s----" /* e0 */
                                    "-----sssss--ss1f" /* f0 */;

static const char sure_two_byte[] = "-----s-----s----" /* 00 */
                                    "ss--ss---------s" /* 10 */
                                    "--------ss----ss" /* 20 */
                                    "----------------" /* 30 */
                                    "ssssssssssssssss" /* 40 */
                                    "-sssssssssssssss" /* 50 */
                                    "----------------" /* 60 */
                                    "----------------" /* 70 */
                                    "ssssssssssssssss" /* 80 */
                                    "ssssssssssssssss" /* 90 */
                                    "--sssss----sss-s" /* a0 */
                                    "ss-s--ss--hsssss" /* b0 */
                                    "ss------ssssssss" /* c0 */
                                    "----------------" /* d0 */
                                    "----------------" /* e0 */
                                    "----------------" /* f0 */;

bool length_is_sure(const uint8_t *bytes, const struct outline *outline)
{
    unsigned before = outline->map == 1 ? outline->opcode - 1u : outline->opcode;
    uint8_t opcode = bytes[outline->opcode], modrm = bytes[outline->opcode + 1], reg = modrm >> 3 & 7;
    if (outline->map > 1 || before > 1 || (before == 1 && (bytes[0] & 0xf0) != 0x40))
        return false;
    char kind = (outline->map ? sure_two_byte : sure_one_byte)[opcode];
    /* Fast path, which the processor predicts well. */
    if (kind == 's')
        return true;
    switch (kind) {
    case 'm':
        return modrm < 0xc0;
    case '0':
        return reg == 0;
    case '1':
        return reg <= 1;
    case 'h':
        return reg >= 4;
    case 'f':
        return reg <= 2 || reg == 4 || reg == 6;
    default:
        return false;
    }
}
