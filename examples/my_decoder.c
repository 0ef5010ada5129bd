/* my_decoder.c: a decoder to be checked with `segue corpus check --decoder`: lengths of instructions, by a table.
 *
 * It knows opcodes of one byte, with legacy prefixes and REX, and answers "skip" for all others. --corrected does
 * without the mistake that it was written with. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ROW 32

enum form {
    UNKNOWN,
    PLAIN,
    MODRM,
    IMM8,
    IMM32,
    MODRM_IMM8,
    MODRM_IMM32,
};

static enum form form_of(unsigned char opcode)
{
    /* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: four with ModRM, and two with an immediate. */
    if (opcode < 0x40 && (opcode & 7) < 6)
        return (opcode & 7) < 4 ? MODRM : (opcode & 7) == 4 ? IMM8 : IMM32;
    /* PUSH, POP. */
    if (opcode >= 0x50 && opcode < 0x60)
        return PLAIN;
    switch (opcode) {
    case 0x63: /* MOVSXD */
    case 0x84: /* TEST, XCHG */
    case 0x85:
    case 0x86:
    case 0x87:
    case 0x88: /* MOV */
    case 0x89:
    case 0x8a:
    case 0x8b:
        return MODRM;
    case 0x6a: /* PUSH */
    case 0xa8: /* TEST */
        return IMM8;
    case 0x68: /* PUSH */
    case 0xa9: /* TEST */
        return IMM32;
    case 0x6b: /* IMUL */
    case 0x80: /* ADD and so on */
    case 0x83:
    case 0xc0: /* ROL and so on */
    case 0xc1:
        return MODRM_IMM8;
    case 0x69: /* IMUL */
    case 0x81: /* ADD and so on */
        return MODRM_IMM32;
    default:
        return UNKNOWN;
    }
}

/* The bytes of ModRM, SIB and displacement. */
static size_t modrm_length(const unsigned char *bytes)
{
    unsigned mod = bytes[0] >> 6, rm = bytes[0] & 7;
    if (mod == 3)
        return 1;
    size_t sib = rm == 4;
    unsigned base = sib ? bytes[1] & 7 : rm;
    size_t displacement = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    return 1 + sib + displacement;
}

/* 0 for an instruction that is not in the table. */
static size_t length_of(const unsigned char *row, bool corrected)
{
    size_t at = 0;
    bool word = false, wide;
    while (at < 14 && row[at] != 0 && strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", row[at]))
        word |= row[at++] == 0x66;
    wide = (row[at] & 0xf8) == 0x48;
    if ((row[at] & 0xf0) == 0x40)
        at++;
    enum form form = form_of(row[at++]);
    /* The mistake: 66 makes such an immediate one of two bytes, unless REX.W says 64 bits. */
    size_t imm32 = corrected && word && !wide ? 2 : 4;
    switch (form) {
    case PLAIN:
        return at;
    case MODRM:
        return at + modrm_length(row + at);
    case IMM8:
        return at + 1;
    case IMM32:
        return at + imm32;
    case MODRM_IMM8:
        return at + modrm_length(row + at) + 1;
    case MODRM_IMM32:
        return at + modrm_length(row + at) + imm32;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    bool corrected = argc > 1 && strcmp(argv[1], "--corrected") == 0;
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        unsigned char row[ROW] = {0};
        for (size_t i = 0; i < ROW; i++)
            if (sscanf(line + 2 * i, "%2hhx", &row[i]) != 1)
                return 1;
        size_t length = length_of(row, corrected);
        if (length == 0)
            puts("skip");
        else if (length > 15)
            puts("refused");
        else
            printf("ok %zu\n", length);
    }
    return 0;
}
