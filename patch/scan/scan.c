/* scan.c: finds the sites to rewrite in code.
 *
 * It searches for bytes that such an instruction must contain, sixteen at a time. If a candidate is not one of the byte
 * signatures, its function is decoded from the start: first by length disassembly, which is fast. If that leads to a
 * site, it decodes again, in full, every instruction that length disassembly might have accepted wrongly.
 *
 * ASSUMPTIONS: compilers put no data inside a function that the unwind tables list. If one does, decoding meets bytes
 * that are not an instruction, and from there on only byte signatures are trusted. */
#include <emmintrin.h>
#include <string.h>

#include "constants.h"
#include "decode/relocate/length.h"
#include "patch/segment/rewrite.h"
#include "platform/reason.h"

#define FORM_LENGTH 9

struct scan {
    const struct segue_segment_code *code;
    struct segue_rewrite rewrite;
    uint8_t prefix;
    segue_site_visit *visit;
    void *context;
};

/* A span of code: a function, or the bytes between two functions. Offsets in the code. */
struct code_span {
    size_t start, end;
    /* The trust in a site here, unless it has a byte signature. */
    enum segue_site_trust trust;
};

/* The constants loaded at `at` in the function that is being walked. So each system call is examined from the previous
 * one on, and not from the function's start. */
struct loaded {
    size_t at;
    struct constants constants;
};

/* --- Candidates. --- */

/* One bit for each of sixteen offsets at which a site could have its prefix or begin: the prefix; 0F 05; 0F A1, A8, A9,
 * B4, B5; 0F AE; 8E /4 and /5. It also reads byte 16. */
static inline __attribute__((always_inline)) unsigned candidates_in_block(const uint8_t *bytes, uint8_t prefix)
{
    __m128i here = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 1));
    __m128i is_0f = _mm_cmpeq_epi8(here, _mm_set1_epi8(0x0f)), is_8e = _mm_cmpeq_epi8(here, _mm_set1_epi8((char)0x8e));
    __m128i is_05 = _mm_cmpeq_epi8(next, _mm_set1_epi8(0x05)), is_ae = _mm_cmpeq_epi8(next, _mm_set1_epi8((char)0xae));
    /* A1, A9 and B4, B5: without the bit that distinguishes FS from GS. */
    __m128i is_pop = _mm_cmpeq_epi8(_mm_and_si128(next, _mm_set1_epi8((char)0xf7)), _mm_set1_epi8((char)0xa1));
    __m128i is_far = _mm_cmpeq_epi8(_mm_and_si128(next, _mm_set1_epi8((char)0xfe)), _mm_set1_epi8((char)0xb4));
    __m128i is_reg = _mm_cmpeq_epi8(_mm_and_si128(next, _mm_set1_epi8(0x30)), _mm_set1_epi8(0x20));
    __m128i second = _mm_or_si128(_mm_or_si128(is_05, is_ae), _mm_or_si128(is_pop, is_far));
    __m128i found = _mm_or_si128(_mm_and_si128(is_0f, second), _mm_and_si128(is_8e, is_reg));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(here, _mm_set1_epi8((char)prefix)));
    return (unsigned)_mm_movemask_epi8(found);
}

/* The first candidate from `at` on, below `end`; `end` if no candidate follows. */
static size_t next_candidate(const struct scan *scan, size_t at, size_t end)
{
    const uint8_t *bytes = scan->code->bytes;
    while (at < end && scan->code->size - at > 16) {
        unsigned found = candidates_in_block(bytes + at, scan->prefix);
        if (found) {
            at += (unsigned)__builtin_ctz(found);
            return at < end ? at : end;
        }
        at += 16;
    }
    for (; at < end; at++) {
        uint8_t copy[17] = {0};
        size_t left = scan->code->size - at;
        memcpy(copy, bytes + at, left < sizeof copy ? left : sizeof copy);
        if (candidates_in_block(copy, scan->prefix) & 1)
            return at;
    }
    return end;
}

/* --- What a candidate is, if an instruction begins there. --- */

/* Prefix, REX.W, opcode with ModRM and SIB for an absolute 32-bit displacement: 28h, the stack guard; 0, the thread
 * pointer. */
static bool has_strict_form(const struct scan *scan, size_t at)
{
    static const uint8_t guard[4] = {0x28}, pointer[4] = {0};
    const uint8_t *bytes = scan->code->bytes + at;
    if (scan->code->size - at < FORM_LENGTH || bytes[0] != scan->prefix || (bytes[1] & 0xfb) != 0x48 ||
        (bytes[3] & 0xc7) != 0x04 || bytes[4] != 0x25)
        return false;
    bool loads = bytes[2] == 0x8b || bytes[2] == 0x03;
    bool compares = bytes[2] == 0x2b || bytes[2] == 0x33 || bytes[2] == 0x3b;
    return (memcmp(bytes + 5, guard, 4) == 0 && (loads || compares)) || (memcmp(bytes + 5, pointer, 4) == 0 && loads);
}

/* A byte signature covers the whole instruction, and its first byte changes. */
static void make_form(const struct scan *scan, size_t at, struct segue_insn *insn, struct segue_site *site)
{
    insn->length = FORM_LENGTH;
    memset(insn->bytes, 0, sizeof insn->bytes);
    memcpy(insn->bytes, scan->code->bytes + at, FORM_LENGTH);
    *site = (struct segue_site){
        .kind = SEGUE_SITE_ACCESS, .index = 0, .old_byte = scan->prefix, .new_byte = rewrite_prefix(scan->rewrite.to)};
}

static bool decode_at(const struct scan *scan, size_t at, size_t end, struct segue_insn *insn)
{
    return segue_decode(SEGUE_MODE_64, scan->code->bytes + at, end - at, insn) == SEGUE_OK;
}

/* Returns the length of the instruction at `at` if it ends before `end`; else 0. The bytes after `end` must be
 * readable: a copy would be slower. */
static inline unsigned outline_at(const struct scan *scan, size_t at, size_t end, struct outline *outline)
{
    unsigned length = length_outline(scan->code->bytes + at, scan->code->size - at, outline);
    return length <= end - at ? length : 0;
}

/* Loads of the segment register rewrite.from: MOV, POP, LFS. */
static bool loads_segment(const struct segue_insn *insn, const struct outline *outline, enum segue_segment segment)
{
    bool is_gs = segment == SEGUE_SEGMENT_GS;
    uint8_t opcode = insn->bytes[outline->opcode];
    if (outline->map == 0)
        return opcode == 0x8e && (insn->bytes[outline->opcode + 1] >> 3 & 7) == segment;
    return outline->map == 1 && (opcode == (is_gs ? 0xa9 : 0xa1) || opcode == (is_gs ? 0xb5 : 0xb4));
}

/* Whether the instruction is a site, and which of its bytes changes. */
static bool find_site(const struct scan *scan, const struct segue_insn *insn, struct segue_site *site)
{
    struct outline outline;
    if (rewrite_find(insn, scan->rewrite, site))
        return true;
    if (length_outline(insn->bytes, insn->length, &outline) == 0)
        return false;
    if (outline.map == 1 && insn->bytes[outline.opcode] == 0x05)
        site->kind = SEGUE_SITE_SYSTEM_CALL;
    else if (loads_segment(insn, &outline, scan->rewrite.from))
        site->kind = SEGUE_SITE_LOAD;
    else
        return false;
    site->index = outline.opcode;
    site->old_byte = site->new_byte = insn->bytes[outline.opcode];
    return true;
}

/* Whether an instruction at `at` is a site. */
static bool site_at(const struct scan *scan, size_t at, size_t end, struct segue_insn *insn, struct segue_site *site)
{
    if (end - at >= FORM_LENGTH && has_strict_form(scan, at)) {
        make_form(scan, at, insn, site);
        return true;
    }
    return decode_at(scan, at, end, insn) && find_site(scan, insn, site);
}

/* Reports a site. `loaded` is NULL if nothing is known of the code before it. */
static enum segue_status report(const struct scan *scan, const struct code_span *span, size_t at,
                                const struct segue_insn *insn, struct segue_site *site, struct loaded *loaded)
{
    site->address = scan->code->address + at;
    site->length = insn->length;
    site->trust = (uint8_t)span->trust;
    site->call_number = site->call_argument = -1;
    memcpy(site->bytes, insn->bytes, sizeof site->bytes);
    memset(site->reserved, 0, sizeof site->reserved);
    if (site->kind == SEGUE_SITE_ACCESS && has_strict_form(scan, at + site->index))
        site->trust = SEGUE_TRUST_FORM;
    if (site->kind == SEGUE_SITE_SYSTEM_CALL && loaded) {
        constants_follow(&loaded->constants, scan->code->bytes + loaded->at, at - loaded->at);
        loaded->at = at;
        site->call_number = loaded->constants.rax;
        site->call_argument = loaded->constants.rdi;
    }
    return scan->visit(scan->context, site);
}

/* --- Code without function boundaries: candidates are judged by their bytes alone. --- */

static enum segue_status scan_loose(const struct scan *scan, const struct code_span *span)
{
    size_t at = span->start, end = span->end;
    while ((at = next_candidate(scan, at, end)) < end) {
        struct segue_insn insn;
        struct segue_site site;
        enum segue_status status = SEGUE_OK;
        bool is_site = site_at(scan, at, end, &insn, &site);
        /* The byte before the signature could be one more prefix, or the end of the preceding instruction. */
        if (is_site && site.kind == SEGUE_SITE_ACCESS && site.index && end - at - site.index >= FORM_LENGTH &&
            has_strict_form(scan, at + site.index)) {
            at += site.index;
            make_form(scan, at, &insn, &site);
        }
        if (is_site)
            status = report(scan, span, at, &insn, &site, NULL);
        if (status != SEGUE_OK)
            return status;
        at += is_site && site.trust == SEGUE_TRUST_FORM ? insn.length : 1;
    }
    return SEGUE_OK;
}

/* --- A function. --- */

/* Instructions that length disassembly may have accepted wrongly; each must be decoded before anything after it is
 * trusted. */
#define UNSURE_MAX 256

struct doubt {
    struct {
        size_t at;
        unsigned length;
    } unsure[UNSURE_MAX];
    size_t count;
};

/* Decodes them. Returns whether all are valid; otherwise `at` is the first invalid one. */
static bool confirm(const struct scan *scan, const struct code_span *span, struct doubt *doubt, size_t *at)
{
    struct segue_insn insn;
    for (size_t i = 0; i < doubt->count; i++)
        if (!decode_at(scan, doubt->unsure[i].at, span->end, &insn) || insn.length != doubt->unsure[i].length) {
            *at = doubt->unsure[i].at;
            return false;
        }
    doubt->count = 0;
    return true;
}

/* Records an instruction that is not certain. Returns false if an earlier one turns out to be invalid; its address is
 * then in `at`. */
static bool note_doubt(const struct scan *scan, const struct code_span *span, struct doubt *doubt, size_t here,
                       unsigned length, size_t *at)
{
    if (doubt->count == UNSURE_MAX && !confirm(scan, span, doubt, at))
        return false;
    doubt->unsure[doubt->count].at = here;
    doubt->unsure[doubt->count++].length = length;
    return true;
}

/* Whether an instruction with this outline must be decoded in full. */
static bool may_be_site(const struct outline *outline, const uint8_t *bytes, uint8_t prefix)
{
    uint8_t opcode = bytes[outline->opcode];
    if (outline->segments & (prefix == 0x64 ? 1 : 2))
        return true;
    if (outline->map == 1)
        return opcode == 0x05 || opcode == 0xae || (opcode & 0xf7) == 0xa1 || (opcode & 0xfe) == 0xb4;
    return outline->map == 0 && opcode == 0x8e;
}

/* Whether the candidate at `at` would be a site if an instruction began there, or before it if only that is
 * possible. */
static bool is_plausible(const struct scan *scan, size_t at, size_t end)
{
    const uint8_t *bytes = scan->code->bytes + at;
    struct segue_insn insn;
    struct segue_site site;
    struct outline outline;
    /* RDFSBASE and the like: registers only; F3 comes before them, or before their REX. */
    if (bytes[0] == 0x0f && end - at > 2 && bytes[1] == 0xae)
        return bytes[2] >= 0xc0 && bytes[2] < 0xe0 && at > 0 && (bytes[-1] == 0xf3 || (bytes[-1] & 0xf0) == 0x40);
    /* Most are classified by their outline alone. */
    if (bytes[0] == scan->prefix && outline_at(scan, at, end, &outline)) {
        if (!length_may_access(bytes, &outline))
            return false;
        struct outline rest = outline;
        rest.opcode--;
        if (outline.opcode > 0 && outline.map == 0 && length_is_sure(bytes + 1, &rest))
            return true;
    }
    return site_at(scan, at, end, &insn, &site);
}

/* The result of a search for candidates in a function. */
struct search {
    /* The end of the last candidate that needs the walk; the function's start if none does. */
    size_t walk_end;
    /* The end of the last byte signature. */
    size_t form_end;
};

static struct search search_function(const struct scan *scan, const struct code_span *span)
{
    struct search search = {span->start, span->start};
    for (size_t at = span->start; (at = next_candidate(scan, at, span->end)) < span->end; at++) {
        /* If the byte before the signature is a prefix, the instruction begins there. */
        bool is_whole = at > 0 && scan->code->bytes[at - 1] != 0x66;
        if (has_strict_form(scan, at) && is_whole) {
            at += FORM_LENGTH - 1;
            search.form_end = at + 1;
        } else if (is_plausible(scan, at, span->end)) {
            search.walk_end = at + 1;
        }
    }
    return search;
}

/* Walks until past `until`. Sets `at` to that place, or to where it could not continue. */
static enum segue_status walk(const struct scan *scan, const struct code_span *span, size_t until, size_t *at)
{
    struct doubt doubt;
    struct loaded loaded = {.at = span->start, .constants = CONSTANTS_UNKNOWN};
    doubt.count = 0;
    /* A local variable, not memory: each iteration depends on it. */
    size_t here = *at;
    while (here < until) {
        struct outline outline;
        struct segue_insn insn;
        struct segue_site site;
        const uint8_t *bytes = scan->code->bytes + here;
        unsigned length = outline_at(scan, here, span->end, &outline);
        if (length && may_be_site(&outline, bytes, scan->prefix) && site_at(scan, here, span->end, &insn, &site)) {
            bool is_form = site.kind == SEGUE_SITE_ACCESS && has_strict_form(scan, here + site.index);
            if (!is_form && !confirm(scan, span, &doubt, at))
                return SEGUE_OK;
            enum segue_status status = report(scan, span, here, &insn, &site, &loaded);
            if (status != SEGUE_OK)
                return status;
            length = insn.length;
        } else if (length) {
            if (!length_is_sure(bytes, &outline) && !note_doubt(scan, span, &doubt, here, length, at))
                return SEGUE_OK;
        } else {
            if (!decode_at(scan, here, span->end, &insn))
                break;
            length = insn.length;
        }
        here += length;
    }
    *at = here;
    return SEGUE_OK;
}

static enum segue_status scan_function(const struct scan *scan, const struct code_span *span)
{
    struct search search = search_function(scan, span);
    size_t at = span->start;
    enum segue_status status = walk(scan, span, search.walk_end, &at);
    bool is_whole = at >= search.walk_end;
    if (status != SEGUE_OK || (is_whole && at >= search.form_end))
        return status;
    /* After a complete walk only byte signatures remain; after an incomplete one there may be any site. */
    struct code_span rest = {
        .start = at, .end = is_whole ? search.form_end : span->end, .trust = SEGUE_TRUST_AFTER_DATA};
    return scan_loose(scan, &rest);
}

/* --- All of it. --- */

/* The part of a function that lies in the code and before the next function. */
static struct code_span span_of(const struct segue_segment_code *code, size_t number)
{
    uint64_t start = code->functions[number].start - code->address;
    uint64_t end = code->functions[number].end - code->address;
    if (number + 1 < code->function_count && code->functions[number + 1].start - code->address < end)
        end = code->functions[number + 1].start - code->address;
    if (code->functions[number].start < code->address || start >= code->size)
        start = end = code->size;
    if (end > code->size)
        end = code->size;
    return (struct code_span){.start = start, .end = end, .trust = SEGUE_TRUST_FUNCTION};
}

enum segue_status segue_segment_scan(const struct segue_segment_code *code, struct segue_rewrite rewrite,
                                     segue_site_visit *visit, void *context)
{
    size_t done = 0;
    if (!code || !visit || (!code->bytes && code->size) || (!code->functions && code->function_count) ||
        !rewrite_is_valid(rewrite) || !RESERVED_IS_ZERO(code))
        return SEGUE_INVALID;
    struct scan scan = {code, rewrite, rewrite_prefix(rewrite.from), visit, context};
    for (size_t i = 0; i <= code->function_count; i++) {
        struct code_span function = {.start = code->size, .end = code->size};
        if (i < code->function_count)
            function = span_of(code, i);
        if (function.start < done || (i < code->function_count && function.start >= function.end))
            continue;
        struct code_span before = {.start = done, .end = function.start, .trust = SEGUE_TRUST_OUTSIDE};
        enum segue_status status = scan_loose(&scan, &before);
        if (status == SEGUE_OK && function.start < function.end)
            status = scan_function(&scan, &function);
        if (status != SEGUE_OK)
            return status;
        done = function.end;
    }
    return SEGUE_OK;
}
