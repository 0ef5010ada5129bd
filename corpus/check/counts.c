/* counts.c: what a check has counted so far, and how the counts of parts add up. */
#include <stdlib.h>
#include <string.h>

#include "counts.h"

static void examples_init(struct corpus_examples *examples, size_t most)
{
    *examples = (struct corpus_examples){.most = most};
}

void corpus_counts_init(struct corpus_counts *counts, size_t unknown)
{
    memset(counts, 0, sizeof *counts);
    examples_init(&counts->unknown, unknown);
    for (size_t i = 0; i < CORPUS_CLASSES; i++)
        examples_init(&counts->classes[i].examples, CORPUS_CLASS_EXAMPLES);
}

void corpus_counts_free(struct corpus_counts *counts)
{
    free(counts->unknown.examples);
    for (size_t i = 0; i < CORPUS_CLASSES; i++)
        free(counts->classes[i].examples.examples);
    for (size_t i = 0; i < CORPUS_CLASSES; i++)
        for (size_t j = 0; j < CORPUS_PARTIES; j++)
            free(counts->classes[i].parties[j].least);
}

bool corpus_examples_want(const struct corpus_examples *examples, uint64_t hash)
{
    return examples->count < examples->most || (examples->most && hash < examples->examples[examples->count - 1].hash);
}

/* Makes room for one more. */
static bool grow(struct corpus_examples *examples)
{
    if (examples->count < examples->capacity)
        return true;
    size_t capacity = examples->capacity ? 2 * examples->capacity : 4;
    struct corpus_example *more = realloc(examples->examples, capacity * sizeof *more);
    if (!more)
        return false;
    examples->examples = more;
    examples->capacity = capacity;
    return true;
}

void corpus_examples_keep(struct corpus_examples *examples, const struct corpus_example *example)
{
    if (!corpus_examples_want(examples, example->hash) || !grow(examples))
        return;
    size_t at = examples->count;
    while (examples->most != CORPUS_ALL_EXAMPLES && at > 0 && examples->examples[at - 1].hash > example->hash)
        at--;
    memmove(&examples->examples[at + 1], &examples->examples[at], (examples->count - at) * sizeof *example);
    examples->examples[at] = *example;
    if (examples->count < examples->most)
        examples->count++;
}

static int by_hash(const void *left, const void *right)
{
    const struct corpus_example *a = left, *b = right;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

void corpus_examples_sort(struct corpus_examples *examples)
{
    if (examples->count)
        qsort(examples->examples, examples->count, sizeof *examples->examples, by_hash);
}

bool corpus_least_wants(const struct corpus_class_party *party, const struct corpus_row *row)
{
    const struct corpus_row *least = party->least ? &party->least->row : NULL;
    if (!least || row->length != least->length)
        return !least || row->length < least->length;
    return memcmp(row->bytes, least->bytes, row->length) < 0;
}

void corpus_least_keep(struct corpus_class_party *party, const struct corpus_example *example)
{
    if (!corpus_least_wants(party, &example->row))
        return;
    if (!party->least)
        party->least = malloc(sizeof *party->least);
    if (party->least)
        *party->least = *example;
}

static void class_party_add(struct corpus_class_party *to, const struct corpus_class_party *from)
{
    to->agreed += from->agreed;
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        to->differs[i] += from->differs[i];
    if (from->least)
        corpus_least_keep(to, from->least);
}

static void examples_add(struct corpus_examples *to, const struct corpus_examples *from)
{
    for (size_t i = 0; i < from->count; i++)
        corpus_examples_keep(to, &from->examples[i]);
}

static void party_add(struct corpus_party_counts *to, const struct corpus_party_counts *from)
{
    to->asked += from->asked;
    to->agreed += from->agreed;
    to->both_accepted += from->both_accepted;
    to->same_length += from->same_length;
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++) {
        to->differs[i] += from->differs[i];
        to->spoilt[i] += from->spoilt[i];
        to->passed[i] += from->passed[i];
    }
}

void corpus_counts_add(struct corpus_counts *to, const struct corpus_counts *from)
{
    to->rows += from->rows;
    to->accepted += from->accepted;
    to->disputed += from->disputed;
    to->unknown_rows += from->unknown_rows;
    for (size_t i = 0; i < CORPUS_PARTIES; i++)
        party_add(&to->parties[i], &from->parties[i]);
    for (size_t i = 0; i < CORPUS_CLASSES; i++) {
        to->classes[i].rows += from->classes[i].rows;
        to->classes[i].passed += from->classes[i].passed;
        examples_add(&to->classes[i].examples, &from->classes[i].examples);
        for (size_t j = 0; j < CORPUS_PARTIES; j++)
            class_party_add(&to->classes[i].parties[j], &from->classes[i].parties[j]);
    }
    examples_add(&to->unknown, &from->unknown);
}
