/* emulated.c: recognises new instructions that a trapped thread can emulate. */
#include "emulated.h"

#include <string.h>

#include "decode/relocate/length.h"
#include "decode/x86/canonical.h"
#include "decode/x86/instructions/jumps.h"

#define CALL 0xe8
#define NOP_LONG 0x1f
#define MAP_OF_ONE_BYTE 0
#define MAP_0F 1
#define OPERAND_SIZE 0x66
#define SEGMENT_CS 0x2e

/* The prefixes with which compilers and linkers lengthen a NOP. */
static bool are_paddings(const uint8_t *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (prefixes[i] != OPERAND_SIZE && prefixes[i] != SEGMENT_CS)
            return false;
    return true;
}

/* 0F 1F /0 and 90. */
static bool is_nop(const uint8_t *bytes, const struct outline *outline)
{
    unsigned at = outline->opcode;
    if (outline->map == MAP_0F)
        return bytes[at] == NOP_LONG && (bytes[at + 1] >> 3 & 7) == 0 && are_paddings(bytes, at - 1);
    return outline->map == MAP_OF_ONE_BYTE && bytes[at] == NOP && are_paddings(bytes, at);
}

static int64_t distance_of(const uint8_t *bytes, unsigned length)
{
    int32_t distance;
    if (length == 2)
        return (int8_t)bytes[1];
    memcpy(&distance, bytes + 1, sizeof distance);
    return distance;
}

struct emulated emulated_find(uint64_t address, const uint8_t *bytes, size_t size)
{
    struct emulated found = {.kind = EMULATED_NONE};
    struct outline outline;
    unsigned length = length_outline(bytes, size, &outline);
    if (length == 0)
        return found;
    found.behind = found.target = address + length;
    if (is_nop(bytes, &outline))
        found.kind = EMULATED_JUMP;
    else if (outline.opcode == 0 && outline.map == MAP_OF_ONE_BYTE &&
             (*bytes == JUMP || *bytes == JUMP_SHORT || *bytes == CALL)) {
        found.kind = *bytes == CALL ? EMULATED_CALL : EMULATED_JUMP;
        found.target += (uint64_t)distance_of(bytes, length);
    }
    /* A jump to an address that is not the program's must itself raise the fault. */
    if (found.target >= canonical_user_end())
        found.kind = EMULATED_NONE;
    return found;
}
