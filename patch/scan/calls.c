/* calls.c: see calls.h.
 *
 * SOURCES: Intel SDM volume 2, SYSCALL, CALL, JMP, Jcc. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

#include "decode/relocate/length.h"
#include "decode/x86/instructions/syscall.h"

/* More than a short branch can reach. */
#define REACH 256
#define AT_ONCE 256u

static const uint8_t call_bytes[SYSCALL_SIZE] = {SYSCALL_BYTES};

/* One pair of bytes that looks like SYSCALL. Sorted by address. */
struct candidate {
    uint64_t address;
    /* It is an instruction; a branch leads to its second byte. */
    bool is_met, is_entered;
};

struct candidates {
    struct candidate *all;
    size_t count, capacity;
};

static bool add(struct candidates *to, uint64_t address)
{
    if (to->count == to->capacity) {
        size_t capacity = to->capacity ? 2 * to->capacity : AT_ONCE;
        struct candidate *larger = realloc(to->all, capacity * sizeof *larger);
        if (!larger)
            return false;
        to->all = larger;
        to->capacity = capacity;
    }
    to->all[to->count++] = (struct candidate){.address = address};
    return true;
}

static bool collect(const struct segue_segment_code *code, struct candidates *to)
{
    const uint8_t *end = code->bytes + code->size, *at = code->bytes;
    while ((at = memchr(at, call_bytes[0], (size_t)(end - at))) != NULL && at + SYSCALL_SIZE <= end) {
        if (at[1] == call_bytes[1] && !add(to, code->address + (uint64_t)(at - code->bytes)))
            return false;
        at++;
    }
    return true;
}

/* The number of the first candidate from the address on. */
static size_t candidate_from(const struct candidates *in, uint64_t address)
{
    size_t first = 0, end = in->count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (in->all[middle].address < address)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct candidate *candidate_at(const struct candidates *in, uint64_t address)
{
    size_t number = candidate_from(in, address);
    return number < in->count && in->all[number].address == address ? &in->all[number] : NULL;
}

/* ---- what functions show, from their beginnings on ---- */

static void note_entry(const struct candidates *in, uint64_t target)
{
    struct candidate *candidate = candidate_at(in, target - 1);
    if (candidate)
        candidate->is_entered = true;
}

/* Jcc, LOOP, JRCXZ, JMP with one byte of displacement. */
static bool is_short_branch(const uint8_t *bytes, const struct outline *outline)
{
    uint8_t opcode = bytes[outline->opcode];
    return outline->map == 0 && (opcode >> 4 == 7 || (opcode & 0xfc) == 0xe0 || opcode == 0xeb);
}

/* Whether what follows is executed after it. Not behind a call, which may never return. */
static bool goes_on(const uint8_t *bytes, const struct outline *outline)
{
    static const uint8_t ends[] = {0xc2, 0xc3, 0xca, 0xcb, 0xcf, 0xe8, 0xe9, 0xeb, 0xf4, 0xff};
    uint8_t opcode = bytes[outline->opcode];
    return outline->map == 0 ? !memchr(ends, opcode, sizeof ends) : outline->map != 1 || opcode != 0x0b;
}

/* And what is executed behind it, up to `next`: functions that make threads end their tables before they do. */
static void look_at_function(const struct segue_segment_code *code, struct segue_extent function, uint64_t next,
                             const struct candidates *in)
{
    struct outline outline;
    bool continues = true;
    for (uint64_t at = function.start; at < function.end || (continues && at < next); at += outline.length) {
        const uint8_t *bytes = code->bytes + (at - code->address);
        struct candidate *candidate;
        if (!length_outline(bytes, (size_t)(next - at), &outline))
            return;
        if (bytes[0] == call_bytes[0] && bytes[1] == call_bytes[1] && (candidate = candidate_at(in, at)) != NULL)
            candidate->is_met = true;
        if (is_short_branch(bytes, &outline))
            note_entry(in, at + outline.length + (uint64_t)(int64_t)(int8_t)bytes[outline.length - 1]);
        continues = goes_on(bytes, &outline);
    }
}

/* Those that a candidate is in, or within reach of. */
static void look_at_functions(const struct segue_segment_code *code, const struct candidates *in)
{
    const uint64_t limit = code->address + code->size;
    for (size_t i = 0; i < code->function_count; i++) {
        const struct segue_extent function = code->functions[i];
        const uint64_t next = i + 1 < code->function_count ? code->functions[i + 1].start : limit;
        if (function.end > limit)
            continue;
        size_t number = candidate_from(in, function.start - REACH);
        if (number < in->count && in->all[number].address < function.end + REACH)
            look_at_function(code, function, next > function.end ? next : function.end, in);
    }
}

/* ---- what any code shows ---- */

/* A JMP, CALL or Jcc with a long displacement. Bytes in the middle of an instruction count, too. */
static void look_at_code(const struct segue_segment_code *code, const struct candidates *in)
{
    const uint8_t *bytes = code->bytes;
    int32_t distance;
    for (size_t at = 1; at + sizeof distance <= code->size; at++) {
        const uint8_t last = bytes[at - 1];
        if ((last & 0xfe) != 0xe8 && (last >> 4 != 8 || at < 2 || bytes[at - 2] != 0x0f))
            continue;
        memcpy(&distance, bytes + at, sizeof distance);
        note_entry(in, code->address + at + sizeof distance + (uint64_t)(int64_t)distance);
    }
}

bool calls_scan(const struct segue_segment_code *code, void (*visit)(uint64_t address, void *context), void *context)
{
    struct candidates found = {0};
    bool has_memory = collect(code, &found);
    if (found.count) {
        look_at_functions(code, &found);
        look_at_code(code, &found);
    }
    for (size_t i = 0; has_memory && i < found.count; i++)
        if (found.all[i].is_met && !found.all[i].is_entered)
            visit(found.all[i].address, context);
    free(found.all);
    return has_memory;
}
