/* likely.c: recognises thread-local accesses as compilers write them.
 *
 * SOURCES: Drepper, ELF Handling For Thread-Local Storage, 4.4.6 (the local and initial exec models for x86-64); Intel
 * SDM volume 2, 2.1 and 2.2 (prefixes, REX, ModRM, SIB). */
#include "likely.h"

#include <string.h>

/* Displacements in this range reach the thread's control block above the base, and thread-local variables below it. */
#define LEAST_DISPLACEMENT (-0x100000)
#define MOST_DISPLACEMENT 0x10000
/* How far before an access its base register is usually loaded. */
#define LOOK_BACK 64
#define LOAD_SIZE 7
#define LOADS_MOST 2

#define REX_B 1u
#define REX_R 4u

static bool is_legacy_prefix(uint8_t byte)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    return memchr(prefixes, byte, sizeof prefixes) != NULL;
}

/* Finds an instruction's REX and its ModRM, in the legacy encodings; false if no byte follows the opcode. */
static bool find_modrm(const struct segue_site *site, uint8_t *rex, size_t *modrm)
{
    size_t at = 0;
    while (at < site->length && is_legacy_prefix(site->bytes[at]))
        at++;
    *rex = 0;
    if (at < site->length && (site->bytes[at] & 0xf0) == 0x40)
        *rex = site->bytes[at++];
    if (at < site->length && site->bytes[at] == 0x0f) {
        at++;
        if (at < site->length && (site->bytes[at] == 0x38 || site->bytes[at] == 0x3a))
            at++;
    }
    *modrm = at + 1;
    return *modrm < site->length;
}

static int32_t load32(const uint8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool is_near(int32_t displacement)
{
    return displacement >= LEAST_DISPLACEMENT && displacement < MOST_DISPLACEMENT;
}

/* Whether the instruction loads the register with a variable's offset: from memory relative to RIP, or as a negative
 * constant. */
static bool loads_offset(const uint8_t *bytes, unsigned reg)
{
    unsigned low = reg & 7, high = reg >> 3;
    if (bytes[0] == (0x48 | high * REX_R) && bytes[1] == 0x8b && bytes[2] == (0x05 | low << 3))
        return true;
    return bytes[0] == (0x48 | high * REX_B) && bytes[1] == 0xc7 && bytes[2] == (0xc0 | low) && load32(bytes + 3) < 0 &&
           is_near(load32(bytes + 3));
}

/* Whether instructions follow each other from `from` to `at`. */
static bool leads_to(const struct segue_segment_code *code, size_t from, size_t at)
{
    struct segue_insn insn;
    while (from < at && segue_decode(SEGUE_MODE_64, code->bytes + from, code->size - from, &insn) == SEGUE_OK)
        from += insn.length;
    return from == at;
}

static bool was_loaded(const struct segue_segment_code *code, size_t at, unsigned reg)
{
    size_t first = at > LOOK_BACK ? at - LOOK_BACK : 0;
    unsigned loads = 0;
    /* The last load is the one in effect; bytes that look like another may be within it. */
    for (size_t i = at; i >= first + LOAD_SIZE && loads < LOADS_MOST; i--) {
        if (!loads_offset(code->bytes + i - LOAD_SIZE, reg))
            continue;
        loads++;
        if (leads_to(code, i - LOAD_SIZE, at))
            return true;
    }
    return false;
}

bool site_is_likely(const struct segue_segment_code *code, size_t at, const struct segue_site *site)
{
    uint8_t rex;
    size_t modrm;
    if (site->kind == SEGUE_SITE_BASE)
        return true;
    if (site->kind != SEGUE_SITE_ACCESS || !find_modrm(site, &rex, &modrm))
        return false;
    unsigned mode = site->bytes[modrm] >> 6, rm = site->bytes[modrm] & 7;
    if (mode == 3 || (mode == 0 && rm == 5))
        return false;
    if (rm != 4)
        return was_loaded(code, at, rm | (rex & REX_B) << 3);
    if (modrm + 6 > site->length)
        return false;
    uint8_t scaled = site->bytes[modrm + 1];
    return mode == 0 && scaled == 0x25 && !(rex & 2) && is_near(load32(site->bytes + modrm + 2));
}
