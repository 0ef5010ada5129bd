/* corpus_rules.c: reads the known disagreements and finds the one that explains a difference. */
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/check/names.h"
#include "predicates.h"
#include "tools/support/message.h"

const char *corpus_party_names[CORPUS_PARTIES] = {"capstone", "objdump", "segue", "source"};

const char *corpus_party_bases[CORPUS_PARTIES];

/* What a term looks at. */
enum field_kind {
    /* A number of the shape or of the row. */
    FIELD_NUMBER,
    FIELD_ENCODING,
    /* The set of legacy prefixes: all that are named must be there; with !=, none of them. */
    FIELD_PREFIX,
    /* Accepted or refused, of Zydis or of a party. */
    FIELD_STATUS,
    FIELD_MNEMONIC,
    /* The text contains the word. */
    FIELD_TEXT,
    /* What the first memory operand is used for. */
    FIELD_DIRECTION,
    /* In what the operands differ: in nothing but what is named. */
    FIELD_DIFFERS,
    /* By how many bytes the decoder's instruction is longer than Zydis'. */
    FIELD_LONGER,
    /* Zydis' name for the instruction's set or category. */
    FIELD_ISA,
    FIELD_CATEGORY,
    /* A function of corpus_predicates.c, by name. */
    FIELD_PREDICATE,
};

static const char *const direction_names[] = {"none", "read", "write", "both"};

#define VALUES 48
#define TERMS 16
#define ZYDIS CORPUS_PARTIES

struct value {
    long low, high;
    char text[32];
};

struct term {
    enum field_kind kind;
    bool negated;
    /* A party, or ZYDIS; for numbers, the field. */
    unsigned which;
    unsigned value_count;
    struct value values[VALUES];
};

struct corpus_when {
    struct term terms[TERMS];
    size_t count;
};

/* Numbers by name; `base` is how their values are written. */
struct number_field {
    const char *name;
    int base;
    long (*get)(const struct corpus_case *row, const struct corpus_shape *shape);
};

#define SHAPE_FIELD(field)                                                                                             \
    static long get_##field(const struct corpus_case *row, const struct corpus_shape *shape)                           \
    {                                                                                                                  \
        (void)row;                                                                                                     \
        return shape->field;                                                                                           \
    }
SHAPE_FIELD(map)
SHAPE_FIELD(opcode)
SHAPE_FIELD(rex)
SHAPE_FIELD(mod)
SHAPE_FIELD(reg)
SHAPE_FIELD(rm)
SHAPE_FIELD(w)
SHAPE_FIELD(pp)
SHAPE_FIELD(ll)
SHAPE_FIELD(b)
SHAPE_FIELD(z)
SHAPE_FIELD(aaa)
SHAPE_FIELD(u)
SHAPE_FIELD(b4)
SHAPE_FIELD(vvvv)
SHAPE_FIELD(repeated)
SHAPE_FIELD(lost_rex)
SHAPE_FIELD(prefix_count)

static long get_bytes(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return row->row->length;
}

static long get_length(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return row->zydis_answer.status == CORPUS_ACCEPTED ? row->zydis_answer.length : 0;
}

static long get_objdump_length(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return row->answers[CORPUS_OBJDUMP].length;
}

static const struct number_field numbers[] = {
    {"map", 16, get_map},
    {"opcode", 16, get_opcode},
    {"rex", 16, get_rex},
    {"mod", 10, get_mod},
    {"reg", 10, get_reg},
    {"rm", 10, get_rm},
    {"w", 10, get_w},
    {"pp", 10, get_pp},
    {"ll", 10, get_ll},
    {"b", 10, get_b},
    {"z", 10, get_z},
    {"aaa", 10, get_aaa},
    {"u", 10, get_u},
    {"b4", 10, get_b4},
    {"vvvv", 10, get_vvvv},
    {"repeated", 10, get_repeated},
    {"lost-rex", 10, get_lost_rex},
    {"prefix-count", 10, get_prefix_count},
    {"bytes", 10, get_bytes},
    {"length", 10, get_length},
    {"objdump.length", 10, get_objdump_length},
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static const struct corpus_answer *answer_of(const struct corpus_case *row, unsigned party)
{
    return party == ZYDIS ? &row->zydis_answer : &row->answers[party];
}

static bool text_is(const struct value *value, const char *text)
{
    return text && strcmp(value->text, text) == 0;
}

/* 1 read, 2 written, 3 both; 0 without memory, or not told. */
static unsigned direction_of(const struct corpus_answer *answer)
{
    for (size_t i = 0; answer->status == CORPUS_ACCEPTED && i < answer->operand_count; i++)
        if (answer->operands[i].kind == CORPUS_OPERAND_MEMORY)
            return answer->operands[i].direction;
    return 0;
}

static unsigned aspects_of(const struct corpus_case *row, unsigned party)
{
    const ZydisDecodedInstruction *instruction = &row->zydis.instruction;
    return corpus_aspects(&row->zydis_answer, &row->answers[party], instruction->operand_width,
                          instruction->address_width);
}

static bool value_holds(const struct term *term, const struct value *value, const struct corpus_case *row,
                        const struct corpus_shape *shape, unsigned party)
{
    const struct corpus_answer *answer = term->kind == FIELD_STATUS || term->kind == FIELD_MNEMONIC ||
                                                 term->kind == FIELD_TEXT || term->kind == FIELD_DIRECTION
                                             ? answer_of(row, term->which)
                                             : NULL;
    bool accepted = row->zydis_answer.status == CORPUS_ACCEPTED;
    long number;
    switch (term->kind) {
    case FIELD_NUMBER:
        number = numbers[term->which].get(row, shape);
        return number >= value->low && number <= value->high;
    case FIELD_ENCODING:
        return shape->encoding == value->low;
    case FIELD_PREFIX:
        return (shape->prefixes & value->low) != 0;
    case FIELD_STATUS:
        return answer->status == CORPUS_NOT_ASKED || answer->status == value->low;
    case FIELD_MNEMONIC:
        return answer->status == CORPUS_NOT_ASKED ||
               (answer->status == CORPUS_ACCEPTED && answer->mnemonic == value->low);
    case FIELD_TEXT:
        return answer->text_length && memmem(answer->text, answer->text_length, value->text, strlen(value->text));
    case FIELD_DIRECTION:
        return direction_of(answer) == value->low;
    case FIELD_LONGER:
        return accepted && row->answers[party].length - row->zydis_answer.length == value->low;
    case FIELD_ISA:
        return accepted && text_is(value, ZydisISASetGetString(row->zydis.instruction.meta.isa_set));
    case FIELD_CATEGORY:
        return accepted && text_is(value, ZydisCategoryGetString(row->zydis.instruction.meta.category));
    case FIELD_PREDICATE:
        return corpus_predicates[value->low].holds(row, shape);
    case FIELD_DIFFERS:
        break;
    }
    return false;
}

/* All aspects in which the operands differ are named. Differences of other kinds have none. */
static bool differs_only_as_named(const struct term *term, const struct corpus_case *row, unsigned party, unsigned kind)
{
    unsigned named = 0;
    for (size_t i = 0; i < term->value_count; i++)
        named |= 1u << term->values[i].low;
    return kind != CORPUS_DIFFERS_OPERANDS || !(aspects_of(row, party) & ~named);
}

static bool term_holds(const struct term *term, const struct corpus_case *row, const struct corpus_shape *shape,
                       unsigned party, unsigned kind)
{
    if (term->kind == FIELD_DIFFERS)
        return differs_only_as_named(term, row, party, kind);
    /* Prefixes are asked for together, all else one of many. */
    bool all = term->kind == FIELD_PREFIX && !term->negated;
    for (size_t i = 0; i < term->value_count; i++)
        if (value_holds(term, &term->values[i], row, shape, party) != all)
            return !term->negated && !all;
    return term->negated || all;
}

static bool when_holds(const struct corpus_when *when, const struct corpus_case *row, const struct corpus_shape *shape,
                       unsigned party, unsigned kind)
{
    for (size_t i = 0; i < when->count; i++)
        if (!term_holds(&when->terms[i], row, shape, party, kind))
            return false;
    return true;
}

static int find(const struct corpus_rules *rules, const struct corpus_case *row, const struct corpus_shape *shape,
                unsigned party, unsigned kind)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct corpus_class *class = &rules->classes[i];
        if (!(class->explains[party] & kind))
            continue;
        for (size_t j = 0; j < class->when_count; j++)
            if (when_holds(&class->whens[j], row, shape, party, kind))
                return (int)i;
    }
    return -1;
}

static int party_of(const char *name, size_t length);

/* What holds of a decoder in this process holds of its like from outside, with the one's answer in the other's place.
 */
int corpus_rules_find(const struct corpus_rules *rules, const struct corpus_case *row, const struct corpus_shape *shape,
                      unsigned party, unsigned kind)
{
    const char *base = corpus_party_bases[party];
    int class = find(rules, row, shape, party, kind), like = base ? party_of(base, strlen(base)) : -1;
    if (class >= 0 || like < 0 || like == ZYDIS)
        return class;
    struct corpus_case other = *row;
    other.answers[like] = row->answers[party];
    return find(rules, &other, shape, (unsigned)like, kind);
}

/* The number of a party's name, ZYDIS for "zydis"; -1 for a name that takes no part. */
static int party_of(const char *name, size_t length)
{
    if (length == 5 && memcmp(name, "zydis", 5) == 0)
        return ZYDIS;
    for (int i = 0; i < CORPUS_PARTIES; i++)
        if (corpus_party_names[i] && strlen(corpus_party_names[i]) == length &&
            memcmp(corpus_party_names[i], name, length) == 0)
            return i;
    return -1;
}

static const char *field_of(const char *name, struct term *term)
{
    const char *dot = strchr(name, '.');
    int party = party_of(name, dot ? (size_t)(dot - name) : strlen(name));
    for (unsigned i = 0; i < NUMBERS; i++) {
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        term->kind = FIELD_NUMBER;
        term->which = i;
        return NULL;
    }
    term->which = party < 0 ? ZYDIS : (unsigned)party;
    if (party >= 0 && !dot)
        term->kind = FIELD_STATUS;
    else if (party >= 0 && strcmp(dot, ".mnemonic") == 0)
        term->kind = FIELD_MNEMONIC;
    else if (party >= 0 && strcmp(dot, ".text") == 0)
        term->kind = FIELD_TEXT;
    else if (party >= 0 && strcmp(dot, ".direction") == 0)
        term->kind = FIELD_DIRECTION;
    else if (strcmp(name, "direction") == 0)
        term->kind = FIELD_DIRECTION;
    else if (strcmp(name, "differs") == 0)
        term->kind = FIELD_DIFFERS;
    else if (strcmp(name, "longer") == 0)
        term->kind = FIELD_LONGER;
    else if (strcmp(name, "mnemonic") == 0)
        term->kind = FIELD_MNEMONIC;
    else if (strcmp(name, "encoding") == 0)
        term->kind = FIELD_ENCODING;
    else if (strcmp(name, "prefix") == 0)
        term->kind = FIELD_PREFIX;
    else if (strcmp(name, "isa") == 0)
        term->kind = FIELD_ISA;
    else if (strcmp(name, "category") == 0)
        term->kind = FIELD_CATEGORY;
    else if (strcmp(name, "predicate") == 0)
        term->kind = FIELD_PREDICATE;
    else
        return "there is no such term";
    return NULL;
}

/* The place of a name in a list; -1 if it is not there. */
static long place_in(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (long)i;
    return -1;
}

static const char *number_value(const char *text, int base, struct value *value)
{
    char *end;
    value->low = value->high = strtol(text, &end, base);
    if (end != text && *end == '-')
        value->high = strtol(end + 1, &end, base);
    return end == text || *end ? "a value is no number and no range" : NULL;
}

static const char *status_value(const char *text, struct value *value)
{
    value->low = strcmp(text, "accepted") == 0 ? CORPUS_ACCEPTED : CORPUS_REFUSED;
    return value->low == CORPUS_ACCEPTED || strcmp(text, "refused") == 0 ? NULL : "a decoder is accepted or refused";
}

static const char *read_value(const struct term *term, const char *text, struct value *value)
{
    const struct corpus_name *name;
    if (strlen(text) >= sizeof value->text)
        return "a value is too long";
    strcpy(value->text, text);
    switch (term->kind) {
    case FIELD_NUMBER:
        return number_value(text, numbers[term->which].base, value);
    case FIELD_STATUS:
        return status_value(text, value);
    case FIELD_ENCODING:
        value->low = place_in(corpus_encoding_names, CORPUS_ENCODINGS, text);
        return value->low < 0 ? "there is no such encoding" : NULL;
    case FIELD_PREFIX:
        value->low = place_in(corpus_prefix_names, 11, text);
        value->low = value->low < 0 ? 0 : 1L << value->low;
        return value->low ? NULL : "there is no such prefix";
    case FIELD_MNEMONIC:
        name = corpus_names_find(text, strlen(text));
        value->low = name ? name->number : CORPUS_MNEMONIC_UNKNOWN;
        return name || strcmp(text, "?") == 0 ? NULL : "there is no such mnemonic";
    case FIELD_LONGER:
        return number_value(text, 10, value);
    case FIELD_DIRECTION:
        value->low = place_in(direction_names, 4, text);
        return value->low < 0 ? "a direction is none, read, write or both" : NULL;
    case FIELD_DIFFERS:
        value->low = place_in(corpus_aspect_names, CORPUS_ASPECTS, text);
        return value->low < 0 ? "operands do not differ in that" : NULL;
    case FIELD_PREDICATE:
        for (size_t i = 0; corpus_predicates[i].name; i++)
            if (strcmp(corpus_predicates[i].name, text) == 0) {
                value->low = (long)i;
                return NULL;
            }
        return "there is no such predicate";
    default:
        return NULL;
    }
}

/* "opcode=70-7f,e9" */
static const char *read_term(char *word, struct term *term)
{
    char *equals = strchr(word, '='), *rest = NULL;
    if (!equals || equals == word)
        return "a term is written field=value or field!=value";
    *equals = 0;
    term->negated = equals[-1] == '!';
    if (term->negated)
        equals[-1] = 0;
    const char *wrong = field_of(word, term);
    for (char *text = strtok_r(equals + 1, ",", &rest); text && !wrong; text = strtok_r(NULL, ",", &rest)) {
        if (term->value_count == VALUES)
            return "a term has too many values";
        wrong = read_value(term, text, &term->values[term->value_count++]);
    }
    return wrong || term->value_count ? wrong : "a term has no value";
}

static const char *read_when(struct corpus_class *class, char *rest)
{
    struct corpus_when *whens = realloc(class->whens, (class->when_count + 1) * sizeof *whens);
    char *next = NULL;
    if (!whens)
        return "out of memory";
    class->whens = whens;
    struct corpus_when *when = &whens[class->when_count++];
    memset(when, 0, sizeof *when);
    for (char *word = strtok_r(rest, " \t", &next); word; word = strtok_r(NULL, " \t", &next)) {
        if (when->count == TERMS)
            return "too many terms";
        const char *wrong = read_term(word, &when->terms[when->count++]);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* "capstone status length" */
static const char *read_of(struct corpus_class *class, char *rest)
{
    char *next = NULL, *word = strtok_r(rest, " \t", &next);
    const char *name = word;
    int party = word ? party_of(word, strlen(word)) : -1;
    if (!word || party == ZYDIS)
        return "'of' names a decoder other than zydis, then kinds of difference";
    while ((word = strtok_r(NULL, " \t", &next))) {
        long kind = place_in(corpus_difference_names, CORPUS_DIFFERENCES, word);
        if (kind < 0)
            return "there is no such kind of difference";
        /* A decoder that does not take part this time explains nothing. */
        for (int i = 0; i < CORPUS_PARTIES; i++)
            if (i == party || (party < 0 && corpus_party_bases[i] && strcmp(corpus_party_bases[i], name) == 0))
                class->explains[i] |= 1u << kind;
    }
    return NULL;
}

static const char *keep_text(char **to, const char *rest)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", *to ? *to : "", *to ? " " : "", rest) < 0)
        return "out of memory";
    free(*to);
    *to = text;
    return NULL;
}

static const char *whole(const struct corpus_class *class)
{
    return class->right && class->why && class->when_count ? NULL : "the class before lacks 'when', 'right' or 'why'";
}

static const char *read_class(struct corpus_rules *rules, const char *name)
{
    const char *wrong = rules->count ? whole(&rules->classes[rules->count - 1]) : NULL;
    if (wrong)
        return wrong;
    if (rules->count == CORPUS_CLASSES)
        return "too many classes";
    for (size_t i = 0; i < rules->count; i++)
        if (strcmp(rules->classes[i].name, name) == 0)
            return "a class of that name stands in the file before";
    return keep_text(&rules->classes[rules->count++].name, name);
}

static const char *read_line(struct corpus_rules *rules, char *line)
{
    char *word = line + strspn(line, " \t"), *rest = word + strcspn(word, " \t");
    if (*word == '#' || *word == 0)
        return NULL;
    if (*rest)
        *rest++ = 0;
    rest += strspn(rest, " \t");
    if (!*rest)
        return "a line has a word and what it says";
    if (strcmp(word, "class") == 0)
        return read_class(rules, rest);
    if (rules->count == 0)
        return "a line stands before the first class";
    struct corpus_class *class = &rules->classes[rules->count - 1];
    if (strcmp(word, "of") == 0)
        return read_of(class, rest);
    if (strcmp(word, "when") == 0)
        return read_when(class, rest);
    if (strcmp(word, "right") == 0)
        return keep_text(&class->right, rest);
    if (strcmp(word, "why") == 0)
        return keep_text(&class->why, rest);
    return "a line begins with class, of, when, right or why";
}

bool corpus_rules_read(struct corpus_rules *rules, const char *path)
{
    char line[4096], whole_line[4096];
    size_t number = 0;
    const char *wrong = NULL;
    FILE *file = fopen(path, "r");
    if (!file) {
        complain("corpus", "cannot read the known disagreements in %s: %s", path, strerror(errno));
        return false;
    }
    while (!wrong && fgets(line, sizeof line, file)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        strcpy(whole_line, line);
        wrong = read_line(rules, line);
    }
    if (!wrong && rules->count)
        wrong = whole(&rules->classes[rules->count - 1]);
    fclose(file);
    if (wrong)
        complain("corpus", "%s:%zu: %s: '%s'", path, number, wrong, whole_line);
    return !wrong;
}

void corpus_rules_free(struct corpus_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        free(rules->classes[i].name);
        free(rules->classes[i].right);
        free(rules->classes[i].why);
        free(rules->classes[i].whens);
    }
    rules->count = 0;
}
