/* text.c: reads an instruction in Intel's syntax.
 *
 * The two dialects (objdump's, LLVM's) differ in spaces, letter case of "PTR", the order of scale and index ("rax*8",
 * "8*rax") and the base of numbers; one reader takes both. */
#include "text.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "names.h"

struct text {
    const char *at;
    const char *end;
};

static void skip_spaces(struct text *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\t'))
        text->at++;
}

static bool take(struct text *text, char wanted)
{
    if (text->at == text->end || *text->at != wanted)
        return false;
    text->at++;
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, digits and what belongs to "st(1)". */
static size_t word_length(const struct text *text)
{
    const char *at = text->at;
    while (at < text->end && is_word(*at))
        at++;
    if (at - text->at == 2 && text->at[0] == 's' && text->at[1] == 't' && text->end - at >= 3 && at[0] == '(')
        at += 3;
    return (size_t)(at - text->at);
}

static bool is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

static unsigned digit_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

/* A number, decimal or with 0x, perhaps negative. */
static int64_t take_number(struct text *text)
{
    bool negative = take(text, '-');
    uint64_t value = 0;
    unsigned base = 10;
    if (text->end - text->at > 2 && text->at[0] == '0' && text->at[1] == 'x') {
        text->at += 2;
        base = 16;
    }
    for (; text->at < text->end && digit_value(*text->at) < base; text->at++)
        value = value * base + digit_value(*text->at);
    return (int64_t)(negative ? 0 - value : value);
}

/* The bytes of "DWORD" or "dword"; 0 for any other word. */
static uint16_t size_of_word(const char *word, size_t length)
{
    static const struct {
        char name[8];
        uint8_t length, size;
    } sizes[] = {
        {"QWORD", 5, 8},    {"DWORD", 5, 4},  {"BYTE", 4, 1},  {"WORD", 4, 2},   {"XMMWORD", 7, 16}, {"YMMWORD", 7, 32},
        {"ZMMWORD", 7, 64}, {"TBYTE", 5, 10}, {"FWORD", 5, 6}, {"OWORD", 5, 16}, {"XWORD", 5, 10},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t at = 0;
        while (sizes[i].length == length && at < length && (word[at] & ~0x20) == sizes[i].name[at])
            at++;
        if (sizes[i].length == length && at == length)
            return sizes[i].size;
    }
    return 0;
}

static bool is_segment(const char *word, size_t length)
{
    return length == 2 && word[1] == 's' && strchr("cdefgs", word[0]);
}

/* Takes the text between the brackets: registers, a scale before or after one, and displacements. */
static void take_address(struct text *text, struct corpus_operand *operand)
{
    int sign = 1;
    while (text->at < text->end && !take(text, ']')) {
        uint8_t scale = 0;
        skip_spaces(text);
        if (text->at < text->end && (*text->at == '+' || *text->at == '-')) {
            sign = *text->at++ == '-' ? -1 : 1;
            continue;
        }
        if (text->at < text->end && is_digit(*text->at)) {
            int64_t number = take_number(text);
            if (!take(text, '*')) {
                operand->value += sign * number;
                continue;
            }
            scale = (uint8_t)number;
        }
        size_t length = word_length(text);
        uint16_t reg = corpus_names_register(text->at, length);
        bool none = is(text->at, length, "riz") || is(text->at, length, "eiz");
        text->at += length ? length : 1;
        if (take(text, '*'))
            scale = (uint8_t)take_number(text);
        if (none || !reg)
            continue;
        if (scale || operand->reg) {
            operand->index = reg;
            operand->scale = scale ? scale : 1;
        } else {
            operand->reg = reg;
        }
    }
}

/* "{k1}", "{z}", "{rn-sae}", "{1to8}": facts about the instruction or the operand before it. */
static void take_braces(struct text *text, struct corpus_answer *answer)
{
    static const char *const roundings[] = {
        [CORPUS_ROUNDING_NEAREST] = "rn-sae", [CORPUS_ROUNDING_DOWN] = "rd-sae", [CORPUS_ROUNDING_UP] = "ru-sae",
        [CORPUS_ROUNDING_ZERO] = "rz-sae",    [CORPUS_ROUNDING_SAE] = "sae",
    };
    const char *close = memchr(text->at, '}', (size_t)(text->end - text->at));
    const char *word = text->at;
    size_t length = close ? (size_t)(close - word) : (size_t)(text->end - word);
    text->at = close ? close + 1 : text->end;
    if (length == 2 && word[0] == 'k')
        answer->mask = (uint16_t)(ZYDIS_REGISTER_K0 + (word[1] - '0'));
    else if (length == 1 && word[0] == 'z')
        answer->zeroing = 1;
    else if (length > 2 && word[0] == '1' && answer->operand_count)
        answer->operands[answer->operand_count - 1].broadcast = 1;
    for (size_t i = 1; i < sizeof roundings / sizeof *roundings; i++)
        if (is(word, length, roundings[i]))
            answer->rounding = (uint8_t)i;
}

/* Takes a word other than a register: a size, a segment, or the words of a memory operand. Returns whether it was
 * one. */
static bool take_memory_word(struct text *text, size_t length, struct corpus_operand *operand)
{
    uint16_t size = size_of_word(text->at, length);
    bool segment = is_segment(text->at, length) && text->at + length < text->end && text->at[length] == ':';
    if (size)
        operand->size = size;
    else if (is(text->at, length, "BCST") || is(text->at, length, "bcst"))
        operand->broadcast = 1;
    else if (segment && (text->at[0] == 'f' || text->at[0] == 'g'))
        operand->segment = text->at[0] == 'f' ? ZYDIS_REGISTER_FS : ZYDIS_REGISTER_GS;
    else if (!segment && !is(text->at, length, "PTR") && !is(text->at, length, "ptr"))
        return false;
    operand->kind = CORPUS_OPERAND_MEMORY;
    text->at += length + (segment ? 1 : 0);
    return true;
}

/* Fills the next operand, if there is one: braces alone are not an operand. */
static void take_operand(struct text *text, struct corpus_answer *answer)
{
    struct corpus_operand *operand = &answer->operands[answer->operand_count];
    bool any = false;
    memset(operand, 0, sizeof *operand);
    for (skip_spaces(text); text->at < text->end && *text->at != ','; skip_spaces(text)) {
        size_t length = word_length(text);
        if (take(text, '[')) {
            operand->kind = CORPUS_OPERAND_MEMORY;
            take_address(text, operand);
        } else if (take(text, '{')) {
            answer->operand_count = (uint8_t)(answer->operand_count + any);
            take_braces(text, answer);
            answer->operand_count = (uint8_t)(answer->operand_count - any);
            continue;
        } else if (is_digit(*text->at) || *text->at == '-') {
            operand->value = take_number(text);
            if (!any)
                operand->kind = CORPUS_OPERAND_IMMEDIATE;
        } else if (length && take_memory_word(text, length, operand)) {
        } else {
            operand->kind = CORPUS_OPERAND_REGISTER;
            operand->reg = corpus_names_register(text->at, length);
            text->at += length ? length : 1;
        }
        any = true;
    }
    answer->operand_count = (uint8_t)(answer->operand_count + any);
}

/* Words before the mnemonic: prefixes that the instruction does not use, or that the decoder writes before it. */
static bool is_prefix(const char *word, size_t length)
{
    static const char *const prefixes[] = {"lock",   "rep",    "repz",   "repnz",   "repe",  "repne",    "data16",
                                           "data32", "addr32", "addr16", "cs",      "ds",    "es",       "fs",
                                           "gs",     "ss",     "bnd",    "notrack", "rex64", "xacquire", "xrelease",
                                           "{evex}", "{vex}",  "{vex3}", "{disp32}"};
    if (length >= 3 && memcmp(word, "rex", 3) == 0)
        return true;
    if (!strchr("lrdacefgsbnx{", word[0]))
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (is(word, length, prefixes[i]))
            return true;
    return false;
}

/* The mnemonic's entry; NULL if the text has no mnemonic or an unknown one. `word_end` is where its word ends. */
static const struct corpus_name *take_mnemonic(struct text *text, bool *any)
{
    *any = false;
    for (skip_spaces(text); text->at < text->end; skip_spaces(text)) {
        const char *word = text->at;
        while (text->at < text->end && *text->at != ' ' && *text->at != '\t' && *text->at != ',')
            text->at++;
        size_t length = (size_t)(text->at - word);
        /* "jne,pn": the hint is not an operand. */
        if (text->at < text->end && *text->at == ',')
            while (text->at < text->end && *text->at != ' ')
                text->at++;
        const struct corpus_name *name = corpus_names_find(word, length);
        if (!name && is_prefix(word, length))
            continue;
        *any = true;
        return name;
    }
    return NULL;
}

static bool is_branch(const struct corpus_answer *answer)
{
    const char *name = corpus_names_text(answer->mnemonic);
    return name[0] == 'j' || strcmp(name, "call") == 0 || strncmp(name, "loop", 4) == 0 || strcmp(name, "xbegin") == 0;
}

/* Drops the register that a decoder writes beside a string instruction's memory: Zydis lists the memory alone. */
static void drop_registers_of_strings(struct corpus_answer *answer)
{
    static const char *const names[] = {"stos", "lods", "scas", "ins", "outs"};
    const char *name = corpus_names_text(answer->mnemonic);
    uint8_t kept = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        for (size_t j = 0; j < answer->operand_count; j++)
            if (answer->operands[j].kind == CORPUS_OPERAND_MEMORY)
                answer->operands[kept++] = answer->operands[j];
        answer->operand_count = kept;
        return;
    }
}

/* objdump's words for what it cannot decode: "(bad)", "{bad}", "{rn-bad}", "?" for a register. */
static bool says_bad(const char *text, size_t length)
{
    for (const char *at = text, *end = text + length; (at = memchr(at, 'b', (size_t)(end - at))); at++)
        if (end - at >= 4 && memcmp(at, "bad", 3) == 0 && (at[3] == ')' || at[3] == '}'))
            return true;
    return memchr(text, '?', length) != NULL;
}

void corpus_text_read(const char *string, size_t length, uint64_t address, struct corpus_answer *answer)
{
    const char *comment = memchr(string, '#', length);
    struct text text = {string, comment ? comment : string + length};
    bool any;
    answer->text = string;
    answer->text_length = length;
    answer->status = CORPUS_REFUSED;
    answer->operand_count = answer->zeroing = answer->rounding = 0;
    answer->mask = 0;
    const struct corpus_name *name = take_mnemonic(&text, &any);
    if (!any || says_bad(string, length))
        return;
    answer->status = CORPUS_ACCEPTED;
    answer->mnemonic = name ? name->number : CORPUS_MNEMONIC_UNKNOWN;
    skip_spaces(&text);
    while (text.at < text.end && answer->operand_count < CORPUS_OPERANDS) {
        take_operand(&text, answer);
        take(&text, ',');
    }
    if (name && name->immediate >= 0 && answer->operand_count < CORPUS_OPERANDS)
        answer->operands[answer->operand_count++] =
            (struct corpus_operand){.kind = CORPUS_OPERAND_IMMEDIATE, .value = name->immediate};
    for (size_t i = 0; i < answer->operand_count; i++) {
        if (answer->operands[i].kind != CORPUS_OPERAND_IMMEDIATE || !is_branch(answer))
            continue;
        answer->operands[i].kind = CORPUS_OPERAND_TARGET;
        answer->operands[i].value -= (int64_t)address;
    }
    drop_registers_of_strings(answer);
}
