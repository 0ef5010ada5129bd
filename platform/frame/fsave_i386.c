/* fsave_i386.c: see fsave_i386.h.
 *
 * SOURCES: Linux arch/x86/kernel/fpu/regset.c (convert_from_fxsr, convert_to_fxsr). */
#include "fsave_i386.h"

#include <stdbool.h>
#include <string.h>

#include "decode/x86/xsave.h"

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };
#define EXPONENT 0x7fffu
#define INTEGER_BIT 0x80u
#define UPPER_HALF 0xffff0000u

static unsigned tag_of(const uint8_t *number)
{
    static const uint8_t zero[8];
    unsigned exponent = (number[8] | (unsigned)number[9] << 8) & EXPONENT;
    if (exponent == EXPONENT)
        return TAG_SPECIAL;
    if (exponent == 0)
        return memcmp(number, zero, sizeof zero) == 0 ? TAG_ZERO : TAG_SPECIAL;
    return number[7] & INTEGER_BIT ? TAG_VALID : TAG_SPECIAL;
}

/* FXSAVE has one bit for a register that is in use, FSAVE two that say what it holds. Registers are stored from the top
 * of the stack on, tags in their own order. */
static uint32_t tags_of(const uint8_t *area, uint16_t status)
{
    uint32_t tags = UPPER_HALF;
    unsigned top = status >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        bool is_used = area[XSAVE_FTW] >> i & 1;
        tags |= (is_used ? tag_of(area + XSAVE_ST + 16 * ((i - top) & 7)) : TAG_EMPTY) << 2 * i;
    }
    return tags;
}

void fsave_fill(struct fsave *image, const void *area)
{
    const uint8_t *from = area;
    uint16_t control, status, opcode;
    memcpy(&control, from + XSAVE_FCW, sizeof control);
    memcpy(&status, from + XSAVE_FSW, sizeof status);
    memcpy(&opcode, from + XSAVE_FOP, sizeof opcode);
    image->control = UPPER_HALF | control;
    image->status = UPPER_HALF | status;
    image->tags = tags_of(from, status);
    memcpy(&image->instruction, from + XSAVE_FIP, sizeof image->instruction);
    image->code_and_opcode = (image->code_and_opcode & 0xffffu) | (uint32_t)opcode << 16;
    memcpy(&image->data, from + XSAVE_FDP, sizeof image->data);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image->registers[i], from + XSAVE_ST + 16 * i, sizeof image->registers[i]);
}
