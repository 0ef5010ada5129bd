/* constants.c: tracks constants that straight-line code has loaded.
 *
 * It tracks only instructions with a known result: MOV of a constant, XOR of a register with itself, and moves that
 * write another register. Any other instruction makes both registers unknown. It ignores that a branch might lead into
 * the middle: its result is only reported to a person, and no code is changed because of it. */
#include "constants.h"

#include <stdbool.h>

#include "decode/relocate/length.h"

#define RAX 0
#define RDI 7
/* Neither RAX nor RDI. */
#define NEITHER 16
#define UNKNOWN ((int64_t)-1)

static void set(struct constants *constants, unsigned reg, int64_t value)
{
    if (reg == RAX)
        constants->rax = value;
    if (reg == RDI)
        constants->rdi = value;
}

static uint32_t load32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The value of a 32-bit immediate. With REX.W it is sign-extended. A negative value counts as unknown: no system call
 * has a negative number. */
static int64_t extended(uint32_t immediate, bool is_signed)
{
    return is_signed && immediate >> 31 ? UNKNOWN : (int64_t)immediate;
}

static void follow(const uint8_t *bytes, const struct outline *outline, struct constants *constants)
{
    uint8_t opcode = bytes[outline->opcode], modrm = bytes[outline->opcode + 1];
    uint8_t rex = outline->opcode == 1 ? bytes[0] : 0;
    unsigned reg = (modrm >> 3 & 7) | (rex & 4u) << 1, rm = (modrm & 7) | (rex & 1u) << 3;
    bool is_register = (modrm & 0xc0) == 0xc0, is_plain = outline->map == 0 && outline->opcode <= 1;
    if (is_plain && (opcode & 0xf8) == 0xb8)
        set(constants, (opcode & 7) | (rex & 1u) << 3, (rex & 8) ? UNKNOWN : load32(bytes + outline->opcode + 1));
    else if (is_plain && opcode == 0xc7 && (modrm & 0xf8) == 0xc0)
        set(constants, rm, extended(load32(bytes + outline->opcode + 2), rex & 8));
    else if (is_plain && (opcode == 0x31 || opcode == 0x33) && is_register && reg == rm)
        set(constants, reg, 0);
    else if (is_plain && opcode == 0x89)
        set(constants, is_register ? rm : NEITHER, UNKNOWN);
    else if (is_plain && (opcode == 0x8b || opcode == 0x8d))
        set(constants, reg, UNKNOWN);
    else
        *constants = CONSTANTS_UNKNOWN;
}

void constants_follow(struct constants *constants, const uint8_t *bytes, size_t size)
{
    struct outline outline;
    for (size_t at = 0; at < size; at += outline.length) {
        if (length_outline(bytes + at, size - at, &outline) == 0) {
            *constants = CONSTANTS_UNKNOWN;
            return;
        }
        follow(bytes + at, &outline, constants);
    }
}
