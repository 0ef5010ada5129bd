/* unwind.c: reads .eh_frame_hdr and .eh_frame in the form that linkers and compilers produce: a sorted table of 32-bit
 * offsets, and entries that begin with a relative address. It ignores any other form, and then no code is trusted
 * because of the table.
 *
 * SOURCES: Linux Standard Base 5.0, 10.6.1 and 10.6.2. */
#include "unwind.h"

#include <string.h>

#define VERSION 1
#define POINTER_PCREL_SDATA4 0x1b
#define COUNT_UDATA4 0x03
#define TABLE_DATAREL_SDATA4 0x3b
#define HEADER_SIZE 12
#define TABLE_ENTRY_SIZE 8
/* Length, offset of the common entry, start, size. */
#define ENTRY_SIZE 16

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool can_read(struct segue_extent readable, uint64_t address, uint64_t size)
{
    return address >= readable.start && address < readable.end && size <= readable.end - address;
}

static uint64_t skip_leb128(struct segue_extent readable, uint64_t at)
{
    while (can_read(readable, at, 1) && (*(const uint8_t *)(uintptr_t)at & 0x80))
        at++;
    return at + 1;
}

/* Whether the common entry (CIE) at `common` says that addresses are relative and 32 bits wide. */
static bool has_known_encoding(struct segue_extent readable, uint64_t common)
{
    static const uint8_t personality_sizes[16] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8};
    if (!can_read(readable, common, ENTRY_SIZE) || load32((const uint8_t *)(uintptr_t)common + 4) != 0)
        return false;
    const char *augmentation = (const char *)(uintptr_t)common + 9;
    uint64_t at = common + 9;
    while (can_read(readable, at, 1) && *(const char *)(uintptr_t)at)
        at++;
    /* Code alignment, data alignment, return register, augmentation length. */
    at = skip_leb128(readable, at + 1);
    at = skip_leb128(readable, at);
    at = skip_leb128(readable, at);
    at = skip_leb128(readable, at);
    if (!can_read(readable, at, 16) || augmentation[0] != 'z')
        return false;
    for (const char *letter = augmentation + 1; *letter && can_read(readable, at, 1); letter++) {
        uint8_t byte = *(const uint8_t *)(uintptr_t)at++;
        if (*letter == 'R')
            return byte == POINTER_PCREL_SDATA4;
        if (*letter == 'P' && personality_sizes[byte & 15])
            at += personality_sizes[byte & 15];
        else if (*letter == 'S' || *letter == 'B')
            at--;
        else if (*letter != 'L')
            return false;
    }
    return false;
}

/* Reads the function of the entry (FDE) at `entry`. */
static bool read_entry(struct segue_extent readable, uint64_t entry, uint64_t *known_common,
                       struct segue_extent *function)
{
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)entry;
    if (!can_read(readable, entry, ENTRY_SIZE) || load32(bytes) < ENTRY_SIZE - 4 || load32(bytes) == UINT32_MAX)
        return false;
    uint64_t common = entry + 4 - load32(bytes + 4);
    if (common != *known_common && !has_known_encoding(readable, common))
        return false;
    *known_common = common;
    function->start = entry + 8 + (uint64_t)(int64_t)(int32_t)load32(bytes + 8);
    function->end = function->start + load32(bytes + 12);
    return true;
}

size_t unwind_functions(const uint8_t *header, size_t size, struct segue_extent readable,
                        struct segue_extent *functions, size_t capacity)
{
    uint64_t base = (uint64_t)(uintptr_t)header, known_common = 0;
    size_t held = 0;
    if (size < HEADER_SIZE || !can_read(readable, base, size) || header[0] != VERSION ||
        header[1] != POINTER_PCREL_SDATA4 || header[2] != COUNT_UDATA4 || header[3] != TABLE_DATAREL_SDATA4)
        return 0;
    size_t count = load32(header + 8);
    if (count > (size - HEADER_SIZE) / TABLE_ENTRY_SIZE)
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = base + (uint64_t)(int64_t)(int32_t)load32(header + HEADER_SIZE + TABLE_ENTRY_SIZE * i + 4);
        struct segue_extent function;
        if (!read_entry(readable, entry, &known_common, &function))
            continue;
        if (held < capacity)
            functions[held] = function;
        held++;
    }
    return held;
}
