/* site_x86_64.c: SOURCES: Intel SDM volume 2, 2.1.5 (ModRM and SIB), appendix A (one-byte opcodes).
 *
 * Why bytes alone suffice in site_next: prefix, opcode, ModRM and SIB for a bare displacement, and a displacement
 * between -4096 and 4095 fix more than forty bits; and site_next only gets pages that are executed. */
#include "site.h"

#include <string.h>

#include "tools/run/signals/registers.h"

#define FS 0x64
#define MOST_ACCESSED 16
#define SMALL_DISPLACEMENT 4096

/* By the register number in ModRM and REX, the order of struct segue_regs. */
static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* One-byte opcodes with a ModRM byte that read or write their memory operand: arithmetic, MOVSXD, IMUL, MOV, TEST,
 * XCHG, shifts, INC, DEC, NOT and their like. */
static bool is_access(uint8_t opcode)
{
    if (opcode < 0x40)
        return (opcode & 7) < 4;
    if (opcode >= 0x80 && opcode <= 0x8b)
        return opcode != 0x82;
    return opcode == 0x63 || opcode == 0x69 || opcode == 0x6b || opcode == 0xc0 || opcode == 0xc1 || opcode == 0xc6 ||
           opcode == 0xc7 || (opcode >= 0xd0 && opcode <= 0xd3) || opcode == 0xf6 || opcode == 0xf7 || opcode == 0xfe ||
           opcode == 0xff;
}

/* The operand's address without a segment base; false for a register operand, or one relative to RIP. */
static bool find_address(const ucontext_t *frame, const uint8_t *bytes, size_t size, uint8_t rex, uint64_t *address)
{
    unsigned mode = bytes[0] >> 6, base = bytes[0] & 7, at = 1;
    bool has_base = true;
    int32_t displacement = 0;
    *address = 0;
    if (mode == 3 || (mode == 0 && base == 5))
        return false;
    if (base == 4) {
        if (size < 2)
            return false;
        unsigned index = (bytes[1] >> 3 & 7) | (rex & 2 ? 8u : 0);
        base = bytes[1] & 7;
        has_base = mode != 0 || base != 5;
        at = 2;
        if (index != 4)
            *address = registers_get(frame, registers[index]) << (bytes[1] >> 6);
    }
    if (mode == 2 || !has_base) {
        if (size < at + 4)
            return false;
        memcpy(&displacement, bytes + at, sizeof displacement);
    } else if (mode == 1) {
        if (size < at + 1)
            return false;
        displacement = (int8_t)bytes[at];
    }
    if (has_base)
        *address += registers_get(frame, registers[base | (rex & 1 ? 8u : 0)]);
    *address += (uint64_t)(int64_t)displacement;
    return true;
}

bool site_is_plain(const ucontext_t *frame, const struct segue_fault *fault, const uint8_t *bytes, size_t size)
{
    size_t at = 1;
    uint64_t address;
    if (size < 4 || bytes[0] != FS || !fault->address_known || fault->direction == SEGUE_FETCH)
        return false;
    uint8_t rex = (bytes[1] & 0xf0) == 0x40 ? bytes[1] : 0;
    at += rex != 0;
    return is_access(bytes[at]) && find_address(frame, bytes + at + 1, size - at - 1, rex, &address) &&
           fault->address - address < MOST_ACCESSED;
}

static bool is_site(const uint8_t *bytes, size_t size)
{
    size_t at = 1;
    int32_t displacement;
    if (size < 8)
        return false;
    at += (bytes[1] & 0xf0) == 0x40;
    if (size < at + 7 || !is_access(bytes[at]) || (bytes[at + 1] & 0xc7) != 0x04 || bytes[at + 2] != 0x25)
        return false;
    memcpy(&displacement, bytes + at + 3, sizeof displacement);
    return displacement >= -SMALL_DISPLACEMENT && displacement < SMALL_DISPLACEMENT;
}

size_t site_next(const uint8_t *bytes, size_t at, size_t size)
{
    while (at < size) {
        const uint8_t *found = memchr(bytes + at, FS, size - at);
        if (!found)
            return size;
        at = (size_t)(found - bytes);
        if (is_site(found, size - at))
            return at;
        at++;
    }
    return size;
}
