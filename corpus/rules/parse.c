/* parse.c: reads the known disagreements, the language of corpus/data/disagreements.txt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/decoders/names.h"
#include "predicates.h"
#include "rules.h"
#include "terms.h"

static const char *const direction_names[] = {"none", "read", "write", "both"};

static const char *field_of(const char *name, struct corpus_term *term)
{
    const char *dot = strchr(name, '.');
    int party = corpus_party_of(name, dot ? (size_t)(dot - name) : strlen(name));
    for (unsigned i = 0; corpus_numbers[i].name; i++) {
        if (strcmp(name, corpus_numbers[i].name) != 0)
            continue;
        term->kind = CORPUS_FIELD_NUMBER;
        term->which = i;
        return NULL;
    }
    term->which = party < 0 ? CORPUS_PARTY_ZYDIS : (unsigned)party;
    if (party >= 0 && !dot)
        term->kind = CORPUS_FIELD_STATUS;
    else if (party >= 0 && strcmp(dot, ".mnemonic") == 0)
        term->kind = CORPUS_FIELD_MNEMONIC;
    else if (party >= 0 && strcmp(dot, ".text") == 0)
        term->kind = CORPUS_FIELD_TEXT;
    else if (party >= 0 && strcmp(dot, ".direction") == 0)
        term->kind = CORPUS_FIELD_DIRECTION;
    else if (strcmp(name, "direction") == 0)
        term->kind = CORPUS_FIELD_DIRECTION;
    else if (strcmp(name, "differs") == 0)
        term->kind = CORPUS_FIELD_DIFFERS;
    else if (strcmp(name, "longer") == 0)
        term->kind = CORPUS_FIELD_LONGER;
    else if (strcmp(name, "mnemonic") == 0)
        term->kind = CORPUS_FIELD_MNEMONIC;
    else if (strcmp(name, "encoding") == 0)
        term->kind = CORPUS_FIELD_ENCODING;
    else if (strcmp(name, "prefix") == 0)
        term->kind = CORPUS_FIELD_PREFIX;
    else if (strcmp(name, "isa") == 0)
        term->kind = CORPUS_FIELD_ISA;
    else if (strcmp(name, "category") == 0)
        term->kind = CORPUS_FIELD_CATEGORY;
    else if (strcmp(name, "predicate") == 0)
        term->kind = CORPUS_FIELD_PREDICATE;
    else
        return "there is no such term";
    return NULL;
}

/* The index of a name in a list; -1 if it is not there. */
static long place_in(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (long)i;
    return -1;
}

static const char *number_value(const char *text, int base, struct corpus_value *value)
{
    char *end;
    value->low = value->high = strtol(text, &end, base);
    if (end != text && *end == '-')
        value->high = strtol(end + 1, &end, base);
    return end == text || *end ? "a value is no number and no range" : NULL;
}

static const char *status_value(const char *text, struct corpus_value *value)
{
    value->low = strcmp(text, "accepted") == 0 ? CORPUS_ACCEPTED : CORPUS_REFUSED;
    return value->low == CORPUS_ACCEPTED || strcmp(text, "refused") == 0 ? NULL : "a decoder is accepted or refused";
}

static const char *read_value(const struct corpus_term *term, const char *text, struct corpus_value *value)
{
    const struct corpus_name *name;
    if (strlen(text) >= sizeof value->text)
        return "a value is too long";
    strcpy(value->text, text);
    switch (term->kind) {
    case CORPUS_FIELD_NUMBER:
        return number_value(text, corpus_numbers[term->which].base, value);
    case CORPUS_FIELD_STATUS:
        return status_value(text, value);
    case CORPUS_FIELD_ENCODING:
        value->low = place_in(corpus_encoding_names, CORPUS_ENCODINGS, text);
        return value->low < 0 ? "there is no such encoding" : NULL;
    case CORPUS_FIELD_PREFIX:
        value->low = place_in(corpus_prefix_names, 11, text);
        value->low = value->low < 0 ? 0 : 1L << value->low;
        return value->low ? NULL : "there is no such prefix";
    case CORPUS_FIELD_MNEMONIC:
        name = corpus_names_find(text, strlen(text));
        value->low = name ? name->number : CORPUS_MNEMONIC_UNKNOWN;
        return name || strcmp(text, "?") == 0 ? NULL : "there is no such mnemonic";
    case CORPUS_FIELD_LONGER:
        return number_value(text, 10, value);
    case CORPUS_FIELD_DIRECTION:
        value->low = place_in(direction_names, 4, text);
        return value->low < 0 ? "a direction must be one of: none, read, write, both" : NULL;
    case CORPUS_FIELD_DIFFERS:
        value->low = place_in(corpus_aspect_names, CORPUS_ASPECTS, text);
        return value->low < 0 ? "not an aspect in which operands differ" : NULL;
    case CORPUS_FIELD_PREDICATE:
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
static const char *read_term(char *word, struct corpus_term *term)
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
        if (term->value_count == CORPUS_TERM_VALUES)
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
        if (when->count == CORPUS_WHEN_TERMS)
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
    int party = word ? corpus_party_of(word, strlen(word)) : -1;
    if (!word || party == CORPUS_PARTY_ZYDIS)
        return "'of' names a decoder other than zydis, then kinds of difference";
    while ((word = strtok_r(NULL, " \t", &next))) {
        long kind = place_in(corpus_difference_names, CORPUS_DIFFERENCES, word);
        if (kind < 0)
            return "there is no such kind of difference";
        /* A class of a decoder that does not take part in this check explains nothing. */
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

bool corpus_rules_read(struct corpus_rules *rules, const char *path, struct corpus_error *error)
{
    char line[4096], whole_line[4096];
    size_t number = 0;
    const char *wrong = NULL;
    FILE *file = fopen(path, "r");
    if (!file)
        return corpus_error_system(error, "cannot read the known disagreements in ", path);
    while (!wrong && fgets(line, sizeof line, file)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        strcpy(whole_line, line);
        wrong = read_line(rules, line);
    }
    if (!wrong && rules->count)
        wrong = whole(&rules->classes[rules->count - 1]);
    fclose(file);
    if (!wrong)
        return true;
    corpus_error_at(error, path, number, ": %s", wrong);
    return corpus_error_quote(error, whole_line, strlen(whole_line));
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
