/* report.c: a check's counts as JSON, and reports read, written and added up. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/output/output.h"
#include "tools/support/plural.h"

#define KIND "segue corpus check"

static json_t *example_json(const struct corpus_example *example)
{
    char hex[2 * CORPUS_ROW_BYTES + 1], hash[20];
    unsigned kind = 0;
    corpus_row_text(&example->row, hex);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)example->hash);
    while (!(example->kind >> kind & 1))
        kind++;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "bytes", hex, "hash", hash, "decoder",
                               corpus_party_names[example->party], "differs", corpus_difference_names[kind], "zydis",
                               example->zydis);
    for (size_t i = 0; i < CORPUS_PARTIES; i++) {
        if (!corpus_party_names[i] || i == CORPUS_SEGUE || !example->parties[i][0])
            continue;
        /* Text of another program. */
        char *answer = quoted_name(example->parties[i]);
        json_object_set_new(object, corpus_party_names[i], json_string(answer));
        free(answer);
    }
    return object;
}

static json_t *examples_json(const struct corpus_examples *examples)
{
    json_t *array = json_array();
    for (size_t i = 0; i < examples->count; i++)
        json_array_append_new(array, example_json(&examples->examples[i]));
    return array;
}

static json_t *party_json(const struct corpus_party_counts *counts)
{
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I}", "asked", (json_int_t)counts->asked, "agreed", (json_int_t)counts->agreed,
                  "both_accepted", (json_int_t)counts->both_accepted, "same_length", (json_int_t)counts->same_length);
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        json_object_set_new(object, corpus_difference_names[i], json_integer((json_int_t)counts->differs[i]));
    json_t *spoilt = json_object();
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        if (counts->spoilt[i])
            json_object_set_new(spoilt, corpus_difference_names[i],
                                json_pack("{s:I, s:I}", "made", (json_int_t)counts->spoilt[i], "passed",
                                          (json_int_t)counts->passed[i]));
    if (json_object_size(spoilt))
        json_object_set(object, "spoilt", spoilt);
    json_decref(spoilt);
    return object;
}

/* What the parties say in the rows of a class, of those that differ from Zydis or could. */
static json_t *class_decoders_json(const struct corpus_class_counts *class)
{
    json_t *decoders = json_object();
    for (size_t i = 0; i < CORPUS_PARTIES; i++) {
        const struct corpus_class_party *party = &class->parties[i];
        json_t *object = json_pack("{s:I}", "agreed", (json_int_t)party->agreed);
        for (size_t j = 0; j < CORPUS_DIFFERENCES; j++)
            if (party->differs[j])
                json_object_set_new(object, corpus_difference_names[j], json_integer((json_int_t)party->differs[j]));
        if (party->least)
            json_object_set_new(object, "least", example_json(party->least));
        if (corpus_party_names[i] && (party->agreed || party->least))
            json_object_set(decoders, corpus_party_names[i], object);
        json_decref(object);
    }
    return decoders;
}

static json_t *classes_json(const struct corpus_counts *counts, const struct corpus_rules *rules)
{
    json_t *classes = json_object();
    for (size_t i = 0; i < rules->count; i++) {
        const struct corpus_class_counts *class = &counts->classes[i];
        if (class->rows || class->passed)
            json_object_set_new(classes, rules->classes[i].name,
                                json_pack("{s:I, s:I, s:s, s:s, s:o, s:o}", "rows", (json_int_t) class->rows,
                                          "spoilt_passed", (json_int_t) class->passed, "right", rules->classes[i].right,
                                          "why", rules->classes[i].why, "decoders", class_decoders_json(class),
                                          "examples", examples_json(&class->examples)));
    }
    return classes;
}

json_t *corpus_report(const struct corpus_counts *counts, const struct corpus_rules *rules)
{
    json_t *decoders = json_object();
    for (size_t i = 0; i < CORPUS_PARTIES; i++)
        if (corpus_party_names[i])
            json_object_set_new(decoders, corpus_party_names[i], party_json(&counts->parties[i]));
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "report", KIND, "rows", (json_int_t)counts->rows, "accepted",
        (json_int_t)counts->accepted, "disputed", (json_int_t)counts->disputed, "decoders", decoders, "classes",
        classes_json(counts, rules), "unknown",
        json_pack("{s:I, s:o}", "rows", (json_int_t)counts->unknown_rows, "examples", examples_json(&counts->unknown)));
}

json_t *corpus_report_read(const char *path)
{
    json_error_t error;
    json_t *report = json_load_file(path, 0, &error);
    const char *kind = json_string_value(json_object_get(report, "report"));
    if (!report) {
        if (error.line > 0)
            complain("corpus", "%s:%d: %s", path, error.line, error.text);
        else
            complain("corpus", "%s", error.text);
    } else if (!kind || strcmp(kind, KIND) != 0 || !json_is_object(json_object_get(report, "decoders")) ||
               !json_is_object(json_object_get(report, "classes")) ||
               !json_is_object(json_object_get(report, "unknown"))) {
        complain("corpus", "%s: not a report of 'segue corpus check'", path);
        json_decref(report);
        report = NULL;
    }
    return report;
}

bool corpus_report_write(const json_t *report, const char *path)
{
    char *json = json_dumps(report, JSON_INDENT(1) | JSON_SORT_KEYS), *text;
    if (!json || asprintf(&text, "%s\n", json) < 0)
        abort();
    bool ok = path ? output_write("corpus", path, text, strlen(text)) : fputs(text, stdout) >= 0;
    free(json);
    free(text);
    return ok;
}

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static int by_hash(const void *left, const void *right)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)left, "hash")),
                  json_string_value(json_object_get(*(json_t *const *)right, "hash")));
}

/* Both lists in one, sorted, cut to the length that a report keeps. */
static json_t *merged_examples(const json_t *left, const json_t *right, size_t most)
{
    size_t left_count = json_array_size(left), count = left_count + json_array_size(right);
    json_t **all = calloc(count + 1, sizeof *all), *merged = json_array();
    for (size_t i = 0; all && i < count; i++)
        all[i] = i < left_count ? json_array_get(left, i) : json_array_get(right, i - left_count);
    if (all && count)
        qsort(all, count, sizeof *all, by_hash);
    for (size_t i = 0; all && i < count && i < most; i++)
        json_array_append(merged, all[i]);
    free(all);
    return merged;
}

/* Whether the example `left` is of a shorter row than `right`, or of an equally long one that comes before. */
static bool is_less(const json_t *left, const json_t *right)
{
    const char *a = json_string_value(json_object_get(left, "bytes"));
    const char *b = json_string_value(json_object_get(right, "bytes"));
    if (!a || !b || strlen(a) != strlen(b))
        return a && (!b || strlen(a) < strlen(b));
    return strcmp(a, b) < 0;
}

/* Adds every integer of `from` to the same one of `to`, recursively; copies what `to` lacks. */
static void add_object(json_t *to, const json_t *from, size_t most_examples)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)from, key, value)
    {
        json_t *there = json_object_get(to, key);
        if (!there)
            json_object_set_new(to, key, json_deep_copy(value));
        else if (strcmp(key, "least") == 0)
            json_object_set(to, key, is_less(value, there) ? value : there);
        else if (json_is_integer(value))
            json_integer_set(there, json_integer_value(there) + json_integer_value(value));
        else if (json_is_object(value))
            add_object(there, value, strcmp(key, "unknown") == 0 ? SIZE_MAX : CORPUS_CLASS_EXAMPLES);
        else if (json_is_array(value) && strcmp(key, "examples") == 0)
            json_object_set_new(to, key, merged_examples(there, value, most_examples));
    }
}

bool corpus_report_merge(json_t *to, const json_t *from)
{
    /* The members that are not counts must be equal in all parts. */
    static const char *const same[] = {"report", "referee", "inputs", "versions", "shards"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const json_t *left = json_object_get(to, same[i]), *right = json_object_get(from, same[i]);
        if (left && !json_equal(left, right)) {
            complain("corpus", "the reports are not parts of one check: they differ in '%s'", same[i]);
            return false;
        }
    }
    json_t *seen = json_object_get(to, "shard"), *shard = json_object_get(from, "shard");
    size_t index;
    json_t *number;
    json_array_foreach(shard, index, number)
    {
        for (size_t i = 0; i < json_array_size(seen); i++)
            if (json_equal(json_array_get(seen, i), number)) {
                complain("corpus", "shard %lld comes twice", (long long)json_integer_value(number));
                return false;
            }
        if (seen)
            json_array_append(seen, number);
    }
    add_object(to, from, 0);
    return true;
}

/* What identifies a row outside every class: its bytes, the decoder and the difference. */
static void example_key(const json_t *example, char *key, size_t size)
{
    snprintf(key, size, "%s %s %s", json_string_value(json_object_get(example, "bytes")),
             json_string_value(json_object_get(example, "decoder")),
             json_string_value(json_object_get(example, "differs")));
}

bool corpus_report_forgive(json_t *report, const json_t *baseline)
{
    const json_t *known = json_object_get(baseline, "unknown");
    json_t *unknown = json_object_get(report, "unknown"), *keys = json_object(), *left = json_array(), *example;
    char key[256];
    size_t index;
    bool whole = (size_t)integer(known, "rows") == json_array_size(json_object_get(known, "examples"));
    if (!whole)
        complain("corpus", "the baseline lists %zu of its %lld row%s outside every class; make it with --json",
                 json_array_size(json_object_get(known, "examples")), (long long)integer(known, "rows"),
                 plural((uint64_t)integer(known, "rows")));
    json_array_foreach(json_object_get(known, "examples"), index, example)
    {
        example_key(example, key, sizeof key);
        json_object_set_new(keys, key, json_true());
    }
    json_array_foreach(json_object_get(unknown, "examples"), index, example)
    {
        example_key(example, key, sizeof key);
        if (!json_object_get(keys, key))
            json_array_append(left, example);
    }
    json_int_t rows = (json_int_t)json_array_size(left);
    json_object_set_new(unknown, "baseline", json_integer(integer(unknown, "rows") - rows));
    json_object_set_new(unknown, "rows", json_integer(rows));
    json_object_set_new(unknown, "examples", left);
    json_decref(keys);
    return whole;
}

uint64_t corpus_report_unknown(const json_t *report)
{
    return (uint64_t)integer(json_object_get(report, "unknown"), "rows");
}
