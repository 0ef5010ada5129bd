/* padding.c: decodes the functions within reach from their starts, twice: to find padding, and to find branches into
 * it.
 *
 * SOURCES: Intel SDM volume 2, NOP (recommended forms), JMP, Jcc, LOOP. ASSUMPTIONS: compilers put what they align
 * behind the padding, so that indirect branches lead there, too; functions that the unwind tables do not know begin at
 * multiples of sixteen. */
#include "padding.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "decode/mnemonics/mnemonics.h"
#include "decode/orders.h"
#include "decode/relocate/length.h"
#include "decode/x86/instructions/syscall.h"

#define FARTHEST_BACK 128
#define FARTHEST_ON 127
#define FUNCTION_ALIGNMENT 16
#define LABEL_ALIGNMENT 8
/* Assemblers fill fewer than sixteen bytes with one instruction or two. */
#define MOST_INSTRUCTIONS 2
#define WIDEST_OPERAND 64
#define RUNS 64

/* An instruction, as far as it matters here. */
struct step {
    uint64_t end;
    bool does_nothing;
    /* The instruction after it is not executed after it. A call may never return. */
    bool ends, may_end;
    bool branches;
    uint64_t target;
    /* Where an operand is, if it is addressed by the instruction pointer. */
    bool has_operand;
    uint64_t operand;
};

/* Padding of one function, [start, end). */
struct run {
    uint64_t start, end;
};

struct search {
    const struct segue_segment_code *code;
    uint64_t site, first, last;
    bool met_site;
    struct run runs[RUNS];
    unsigned run_count;
};

/* ---- one instruction ---- */

/* The displacement of a branch other than JMP and CALL: Jcc, LOOP, JRCXZ, XBEGIN. */
static int64_t displacement(const struct segue_insn *insn, const struct outline *outline)
{
    const uint8_t *end = insn->bytes + insn->length;
    int32_t wide;
    if (outline->map == 0 && mnemonic_to_zydis(insn->mnemonic) != ZYDIS_MNEMONIC_XBEGIN)
        return (int8_t)end[-1];
    memcpy(&wide, end - sizeof wide, sizeof wide);
    return wide;
}

static void classify_flow(const struct segue_insn *insn, const struct outline *outline, struct step *step)
{
    uint8_t kind = orders_of(insn)->transfer.kind;
    bool is_direct =
        kind == INSN_TRANSFER_NONE || (kind != INSN_TRANSFER_RETURN && orders_of(insn)->transfer.is_immediate);
    step->does_nothing = mnemonic_to_zydis(insn->mnemonic) == ZYDIS_MNEMONIC_NOP;
    step->ends = kind == INSN_TRANSFER_JUMP || kind == INSN_TRANSFER_RETURN ||
                 mnemonic_to_zydis(insn->mnemonic) == ZYDIS_MNEMONIC_UD2;
    step->may_end = step->ends || kind == INSN_TRANSFER_CALL;
    /* SYSCALL and its like are branches without a displacement: they go on behind themselves. */
    bool is_short = kind == INSN_TRANSFER_NONE && outline->map != 0 && insn->length <= sizeof(int32_t);
    step->branches = insn->class_ == SEGUE_CLASS_BRANCH && is_direct && !is_short;
    if (step->branches)
        step->target = step->end + (uint64_t)(kind == INSN_TRANSFER_NONE ? displacement(insn, outline)
                                                                         : orders_of(insn)->transfer.value);
}

/* An instruction without ModRM may be taken for one with it: then some padding is not used. */
static void find_operand(const uint8_t *bytes, unsigned length, const struct outline *outline, struct step *step)
{
    unsigned modrm = outline->opcode + 1u;
    int32_t distance;
    step->has_operand = modrm + 1 + sizeof distance <= length && (bytes[modrm] & 0xc7) == 0x05;
    if (!step->has_operand)
        return;
    memcpy(&distance, bytes + modrm + 1, sizeof distance);
    step->operand = step->end + (uint64_t)(int64_t)distance;
}

/* False for bytes that are not an instruction, or do not end before `end`. */
static bool classify(const struct segue_segment_code *code, uint64_t at, uint64_t end, struct step *step)
{
    const uint8_t *bytes = code->bytes + (at - code->address);
    struct segue_insn insn;
    struct outline outline;
    *step = (struct step){0};
    if (segue_decode(SEGUE_MODE_64, bytes, end - at, &insn) != SEGUE_OK)
        return false;
    step->end = at + insn.length;
    bool has_outline = length_outline(bytes, insn.length, &outline) == insn.length;
    if (!has_outline)
        return insn.class_ != SEGUE_CLASS_BRANCH;
    classify_flow(&insn, &outline, step);
    find_operand(bytes, insn.length, &outline, step);
    return true;
}

/* ---- one function ---- */

static void add(struct search *search, uint64_t start, uint64_t end)
{
    if (end - start >= PADDING_LEAST && start <= search->last && end > search->first && search->run_count < RUNS)
        search->runs[search->run_count++] = (struct run){start, end};
}

/* Takes the bytes after the function, whose last instruction is `last`, if all of them are without effect. */
static void add_gap(struct search *search, uint64_t end, uint64_t next, const struct step *last)
{
    uint64_t limit = (end + FUNCTION_ALIGNMENT - 1) & -(uint64_t)FUNCTION_ALIGNMENT, at = end;
    uint64_t code_end = search->code->address + search->code->size;
    struct step step;
    unsigned count = 0;
    limit = next < limit ? next : limit;
    if (!last->may_end || limit > code_end)
        return;
    for (; at < limit && classify(search->code, at, limit, &step) && step.does_nothing; at = step.end)
        count++;
    if (at == limit && count <= MOST_INSTRUCTIONS)
        add(search, end, limit);
}

/* Up to the next multiple of eight, or of sixteen. */
static bool is_fill(uint64_t start, uint64_t end)
{
    return end % LABEL_ALIGNMENT == 0 &&
           (end - start < LABEL_ALIGNMENT || (end % FUNCTION_ALIGNMENT == 0 && end - start < FUNCTION_ALIGNMENT));
}

/* Notes the padding in [start, end). False if it does not decode to its end. */
static bool find_runs(struct search *search, uint64_t start, uint64_t end, uint64_t next)
{
    struct step step = {0}, before = {0};
    uint64_t run = 0;
    unsigned count = 0;
    for (uint64_t at = start; at < end; at = step.end) {
        if (!classify(search->code, at, end, &step))
            return false;
        if (step.does_nothing && !run && before.ends) {
            run = at;
            count = 0;
        }
        count += step.does_nothing;
        if (!step.does_nothing && run && is_fill(run, at) && count <= MOST_INSTRUCTIONS)
            add(search, run, at);
        if (step.does_nothing && at == search->site + SYSCALL_SIZE)
            return false;
        search->met_site |= at == search->site;
        if (!step.does_nothing) {
            run = 0;
            before = step;
        }
    }
    if (!run)
        add_gap(search, end, next, &before);
    return true;
}

static void drop_run(struct search *search, unsigned number)
{
    search->runs[number] = search->runs[--search->run_count];
}

static bool leads_into(const struct step *step, const struct run *run)
{
    return (step->branches && step->target - run->start < run->end - run->start) ||
           (step->has_operand && step->operand < run->end && run->start < step->operand + WIDEST_OPERAND);
}

/* Drops the padding that an instruction branches or points into; or all padding, if it branches to the site's second
 * byte, which the jump would change. */
static void check_runs(struct search *search, uint64_t start, uint64_t end)
{
    struct step step;
    for (uint64_t at = start; at < end && search->run_count && classify(search->code, at, end, &step); at = step.end) {
        if (step.branches && step.target == search->site + 1)
            search->run_count = 0;
        for (unsigned i = search->run_count; i-- > 0;)
            if (leads_into(&step, &search->runs[i]))
                drop_run(search, i);
    }
}

/* Whether a JMP, CALL or Jcc with a long displacement, anywhere in the code, leads to the address. Bytes in the middle
 * of an instruction count, too. */
static bool is_entered(const struct segue_segment_code *code, uint64_t address)
{
    const uint8_t *bytes = code->bytes;
    uint32_t wanted = (uint32_t)(address - code->address - sizeof wanted), distance;
    for (size_t at = 2; at + sizeof distance <= code->size; at++) {
        memcpy(&distance, bytes + at, sizeof distance);
        if (distance + (uint32_t)at != wanted)
            continue;
        bool is_jump = (bytes[at - 1] & 0xfe) == 0xe8, is_condition = bytes[at - 2] == 0x0f && bytes[at - 1] >> 4 == 8;
        if (is_jump || is_condition)
            return true;
    }
    return false;
}

/* ---- a place in it ---- */

/* Chooses whole instructions, the first of which begins within reach. */
static bool choose_in(const struct search *search, const struct run *run, struct padding *padding)
{
    struct step step;
    for (uint64_t at = run->start; at < run->end && at <= search->last; at = step.end) {
        uint64_t stop = at;
        while (stop < run->end && stop - at < PADDING_LEAST && classify(search->code, stop, run->end, &step))
            stop = step.end;
        if (at >= search->first && stop - at >= PADDING_LEAST && stop - at <= PADDING_MOST) {
            *padding = (struct padding){at, (uint8_t)(stop - at)};
            return true;
        }
        if (!classify(search->code, at, run->end, &step))
            return false;
    }
    return false;
}

/* The context of a search, and where the next function begins. */
struct near {
    uint64_t start, end, next;
};

static bool find_near(const struct search *search, size_t number, struct near *near)
{
    const struct segue_segment_code *code = search->code;
    const struct segue_extent *function = &code->functions[number];
    near->next = number + 1 < code->function_count ? function[1].start : UINT64_MAX;
    near->start = function->start;
    near->end = function->end < near->next ? function->end : near->next;
    return near->start <= search->last && near->end + FUNCTION_ALIGNMENT > search->first &&
           near->end <= code->address + code->size;
}

bool padding_find(const struct segue_segment_code *code, uint64_t site, struct padding *padding)
{
    struct search search = {
        .code = code,
        .site = site,
        .first = site + SYSCALL_SIZE - FARTHEST_BACK,
        .last = site + SYSCALL_SIZE + FARTHEST_ON,
    };
    struct near near;
    for (size_t i = 0; i < code->function_count; i++) {
        unsigned before = search.run_count;
        bool holds_site;
        if (!find_near(&search, i, &near))
            continue;
        holds_site = site - near.start < near.end - near.start;
        if (!find_runs(&search, near.start, near.end, near.next))
            search.run_count = before;
        if (holds_site && !search.met_site)
            return false;
    }
    for (size_t i = 0; i < code->function_count; i++)
        if (find_near(&search, i, &near))
            check_runs(&search, near.start, near.end);
    for (unsigned i = 0; search.met_site && i < search.run_count; i++)
        if (choose_in(&search, &search.runs[i], padding))
            return !is_entered(code, site + 1);
    return false;
}
