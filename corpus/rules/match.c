/* match.c: finds the known disagreement that explains a difference. */
#include <string.h>

#include "predicates.h"
#include "rules.h"
#include "terms.h"

const char *corpus_party_names[CORPUS_PARTIES] = {"capstone", "objdump", "segue", "source"};

const char *corpus_party_bases[CORPUS_PARTIES];

int corpus_party_of(const char *name, size_t length)
{
    if (length == 5 && memcmp(name, "zydis", 5) == 0)
        return CORPUS_PARTY_ZYDIS;
    for (int i = 0; i < CORPUS_PARTIES; i++)
        if (corpus_party_names[i] && strlen(corpus_party_names[i]) == length &&
            memcmp(corpus_party_names[i], name, length) == 0)
            return i;
    return -1;
}

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

const struct corpus_number_field corpus_numbers[] = {
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
    {0},
};
static const struct corpus_answer *answer_of(const struct corpus_case *row, unsigned party)
{
    return party == CORPUS_PARTY_ZYDIS ? &row->zydis_answer : &row->answers[party];
}

static bool text_is(const struct corpus_value *value, const char *text)
{
    return text && strcmp(value->text, text) == 0;
}

/* 1 read, 2 written, 3 both; 0 without memory, or not reported. */
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

static bool value_holds(const struct corpus_term *term, const struct corpus_value *value, const struct corpus_case *row,
                        const struct corpus_shape *shape, unsigned party)
{
    const struct corpus_answer *answer = term->kind == CORPUS_FIELD_STATUS || term->kind == CORPUS_FIELD_MNEMONIC ||
                                                 term->kind == CORPUS_FIELD_TEXT || term->kind == CORPUS_FIELD_DIRECTION
                                             ? answer_of(row, term->which)
                                             : NULL;
    bool accepted = row->zydis_answer.status == CORPUS_ACCEPTED;
    long number;
    switch (term->kind) {
    case CORPUS_FIELD_NUMBER:
        number = corpus_numbers[term->which].get(row, shape);
        return number >= value->low && number <= value->high;
    case CORPUS_FIELD_ENCODING:
        return shape->encoding == value->low;
    case CORPUS_FIELD_PREFIX:
        return (shape->prefixes & value->low) != 0;
    case CORPUS_FIELD_STATUS:
        return answer->status == CORPUS_NOT_ASKED || answer->status == value->low;
    case CORPUS_FIELD_MNEMONIC:
        return answer->status == CORPUS_NOT_ASKED ||
               (answer->status == CORPUS_ACCEPTED && answer->mnemonic == value->low);
    case CORPUS_FIELD_TEXT:
        return answer->text_length && memmem(answer->text, answer->text_length, value->text, strlen(value->text));
    case CORPUS_FIELD_DIRECTION:
        return direction_of(answer) == value->low;
    case CORPUS_FIELD_LONGER:
        return accepted && row->answers[party].length - row->zydis_answer.length == value->low;
    case CORPUS_FIELD_ISA:
        return accepted && text_is(value, ZydisISASetGetString(row->zydis.instruction.meta.isa_set));
    case CORPUS_FIELD_CATEGORY:
        return accepted && text_is(value, ZydisCategoryGetString(row->zydis.instruction.meta.category));
    case CORPUS_FIELD_PREDICATE:
        return corpus_predicates[value->low].holds(row, shape);
    case CORPUS_FIELD_DIFFERS:
        break;
    }
    return false;
}

/* Whether the term names all aspects in which the operands differ. Differences of other kinds have no aspects. */
static bool differs_only_as_named(const struct corpus_term *term, const struct corpus_case *row, unsigned party,
                                  unsigned kind)
{
    unsigned named = 0;
    for (size_t i = 0; i < term->value_count; i++)
        named |= 1u << term->values[i].low;
    return kind != CORPUS_DIFFERS_OPERANDS || !(aspects_of(row, party) & ~named);
}

static bool term_holds(const struct corpus_term *term, const struct corpus_case *row, const struct corpus_shape *shape,
                       unsigned party, unsigned kind)
{
    if (term->kind == CORPUS_FIELD_DIFFERS)
        return differs_only_as_named(term, row, party, kind);
    /* A term's prefixes must all be there; of other values, one suffices. */
    bool all = term->kind == CORPUS_FIELD_PREFIX && !term->negated;
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

/* A class of a decoder in this process also holds of an outside decoder of the same kind, whose answer then replaces
 * the other's. */
int corpus_rules_find(const struct corpus_rules *rules, const struct corpus_case *row, const struct corpus_shape *shape,
                      unsigned party, unsigned kind)
{
    const char *base = corpus_party_bases[party];
    int class = find(rules, row, shape, party, kind), like = base ? corpus_party_of(base, strlen(base)) : -1;
    if (class >= 0 || like < 0 || like == CORPUS_PARTY_ZYDIS)
        return class;
    struct corpus_case other = *row;
    other.answers[like] = row->answers[party];
    return find(rules, &other, shape, (unsigned)like, kind);
}
