/* translate.c: rolls a thread that stands in a body back to a boundary of the original instructions (see body.h). */
#include <stddef.h>

#include "body.h"
#include "decode/x86/flags.h"
#include "emulate/windows/guard.h"
#include "table.h"

/* Set by ADD $127 to AL before SAHF, which so loads OF. */
#define AL_WITH_OVERFLOW 1
#define AL_ADDED_WITH_OVERFLOW 0x80

struct piece {
    unsigned instruction, state;
};

__thread uint64_t body_counters;

/* Reads pieces one after the other. */
struct reader {
    const uint8_t *at, *end;
    uint32_t offset;
    struct piece piece;
};

static struct reader begin(const struct body_table *table)
{
    const uint8_t *bytes = (const uint8_t *)table;
    return (struct reader){.at = (const uint8_t *)&table->offsets[table->instructions], .end = bytes + table->bytes};
}

static bool next(struct reader *reader)
{
    if (reader->at >= reader->end)
        return false;
    reader->offset += *reader->at++;
    reader->piece.state = *reader->at & ~(unsigned)BODY_AT_INSTRUCTION;
    if (*reader->at++ & BODY_AT_INSTRUCTION)
        reader->piece.instruction = *reader->at++;
    return true;
}

static bool find(const struct body_table *table, uint64_t offset, struct piece *found)
{
    bool is_found = false;
    if (offset >= table->size)
        return false;
    for (struct reader reader = begin(table); next(&reader) && reader.offset <= offset; is_found = true)
        *found = reader.piece;
    return is_found;
}

static uint64_t address_of(const struct body_table *table, unsigned instruction)
{
    return table->site + table->offsets[instruction] - BODY_TABLE_BIAS;
}

/* The first piece of the instruction behind the beginning of the plain entries is its entry. */
static uint64_t plain_of(const struct body_table *table, uint64_t at, unsigned instruction)
{
    for (struct reader reader = begin(table); next(&reader);)
        if (reader.offset >= table->plain && reader.piece.instruction == instruction)
            return at + reader.offset;
    return 0;
}

static bool load(uint64_t address, uint64_t *value)
{
    return guard_load_8((const void *)(uintptr_t)address, value) == 0; // NOLINT(performance-no-int-to-ptr)
}

static uint64_t flags_from_ax(uint64_t ax)
{
    uint8_t low = (uint8_t)ax, high = (uint8_t)(ax >> 8);
    uint64_t flags = high & (FLAGS_ARITHMETIC & ~FLAG_OVERFLOW);
    return flags | (low == AL_WITH_OVERFLOW || low == AL_ADDED_WITH_OVERFLOW ? FLAG_OVERFLOW : 0);
}

static bool roll_back(const struct body_table *table, unsigned state, struct segue_regs *regs)
{
    uint64_t frame = regs->rsp, rax, scratch, flags;
    bool flags_moved = state & (BODY_AT_FLAGS_IN_AX | BODY_AT_FLAGS_SAVED);
    rax = flags = regs->rax;
    scratch = segue_register_get(regs, table->scratch_register);
    if ((state & BODY_AT_FLAGS_SAVED && !load(frame + BODY_FLAGS, &flags)) ||
        (state & BODY_AT_RAX_SAVED && !load(frame + BODY_RAX, &rax)) ||
        (state & BODY_AT_SCRATCH_SAVED && !load(frame + BODY_SCRATCH, &scratch)))
        return false;
    regs->rax = rax;
    *segue_register_at(regs, table->scratch_register) = scratch;
    if (flags_moved)
        regs->rflags = (regs->rflags & ~FLAGS_ARITHMETIC) | flags_from_ax(flags);
    regs->rsp += (state & BODY_AT_FRAME ? BODY_FRAME : 0) + (state & BODY_AT_PUSHED ? sizeof(uint64_t) : 0);
    return true;
}

bool body_translate(const void *kept, uint64_t at, struct segue_regs *regs, struct body_place *place)
{
    const struct body_table *table = kept;
    struct piece piece;
    if (!find(table, regs->rip - at, &piece) || !roll_back(table, piece.state, regs))
        return false;
    uint64_t before = piece.instruction < 64 ? (UINT64_C(1) << piece.instruction) - 1 : UINT64_MAX;
    place->instruction = piece.instruction;
    place->counted = piece.state & BODY_AT_COUNTED;
    place->record = (uint32_t)__builtin_popcountll(table->recorded & before);
    place->plain = plain_of(table, at, piece.instruction);
    regs->rip = address_of(table, piece.instruction);
    return true;
}
