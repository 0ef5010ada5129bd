/* text.c: a report as text, and the differences between two reports. */
#include <stdio.h>
#include <string.h>

#include "report.h"

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_decoders(const json_t *report)
{
    const char *name;
    json_t *decoder;
    printf("%-12s %10s %10s %8s %8s %8s %8s %8s %9s\n", "against zydis", "asked", "agreed", "status", "length",
           "mnemonic", "operands", "size", "direction");
    json_object_foreach(json_object_get(report, "decoders"), name, decoder)
    {
        printf("%-13s %10lld %10lld", name, (long long)integer(decoder, "asked"),
               (long long)integer(decoder, "agreed"));
        for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
            printf(" %*lld", i == 5 ? 9 : 8, (long long)integer(decoder, corpus_difference_names[i]));
        putchar('\n');
    }
}

/* Prints the result of the mutation test: how many wrong answers a class explained. */
static void print_spoilt(const json_t *report)
{
    const char *name, *kind;
    json_t *decoder, *of_kind;
    json_object_foreach(json_object_get(report, "decoders"), name, decoder)
    {
        json_object_foreach(json_object_get(decoder, "spoilt"), kind, of_kind)
        {
            printf("made wrong: %-10s %-10s %10lld, of which passed for known %10lld\n", name, kind,
                   (long long)integer(of_kind, "made"), (long long)integer(of_kind, "passed"));
        }
    }
}

static void print_example(const json_t *example)
{
    const char *name;
    json_t *text;
    printf("  %s (%s: %s)\n", json_string_value(json_object_get(example, "bytes")),
           json_string_value(json_object_get(example, "decoder")),
           json_string_value(json_object_get(example, "differs")));
    json_object_foreach((json_t *)example, name, text)
    {
        if (strcmp(name, "bytes") != 0 && strcmp(name, "hash") != 0 && strcmp(name, "decoder") != 0 &&
            strcmp(name, "differs") != 0)
            printf("      %-10s %s\n", name, json_string_value(text));
    }
}

void corpus_report_print(const json_t *report)
{
    const char *name;
    json_t *class;
    size_t index;
    json_t *example, *unknown = json_object_get(report, "unknown");
    printf("rows %lld, instructions by Zydis %lld, disputed %lld\n", (long long)integer(report, "rows"),
           (long long)integer(report, "accepted"), (long long)integer(report, "disputed"));
    print_decoders(report);
    print_spoilt(report);
    printf("\n%-34s %10s  %s\n", "class of disagreement", "rows", "right");
    json_object_foreach(json_object_get(report, "classes"), name, class)
    {
        printf("%-34s %10lld  %s\n", name, (long long)integer(class, "rows"),
               json_string_value(json_object_get(class, "right")));
    }
    printf("%-34s %10lld\n", "outside every class", (long long)integer(unknown, "rows"));
    json_array_foreach(json_object_get(unknown, "examples"), index, example)
    {
        if (index < CORPUS_UNKNOWN_EXAMPLES)
            print_example(example);
    }
    if (integer(unknown, "rows") > CORPUS_UNKNOWN_EXAMPLES)
        printf("  and %lld more; --json OUT lists them all\n",
               (long long)integer(unknown, "rows") - CORPUS_UNKNOWN_EXAMPLES);
    if (json_object_get(unknown, "baseline"))
        printf("%-34s %10lld\n", "outside, and in the baseline", (long long)integer(unknown, "baseline"));
    if (integer(report, "left_out"))
        printf("%-34s %10lld\n", "left out: longer than a row may be", (long long)integer(report, "left_out"));
}

static unsigned diff_number(const char *where, const char *what, json_int_t before, json_int_t after)
{
    if (before == after)
        return 0;
    printf("%-34s %-14s %10lld -> %lld (%+lld)\n", where, what, (long long)before, (long long)after,
           (long long)(after - before));
    return 1;
}

/* Prints how the integers in the objects of `before` and `after` differ: those of the first, then the new ones. */
static unsigned diff_objects(const json_t *before, const json_t *after)
{
    unsigned printed = 0;
    const char *name, *key;
    json_t *object, *value;
    json_object_foreach((json_t *)before, name, object)
    {
        const json_t *other = json_object_get(after, name);
        json_object_foreach(object, key, value)
        {
            if (json_is_integer(value))
                printed += diff_number(name, key, json_integer_value(value), integer(other, key));
        }
    }
    json_object_foreach((json_t *)after, name, object)
    {
        if (!json_object_get(before, name))
            printed += diff_number(name, "rows", 0, integer(object, "rows"));
    }
    return printed;
}

unsigned corpus_report_diff(const json_t *before, const json_t *after)
{
    static const char *const totals[] = {"rows", "accepted", "disputed"};
    unsigned printed = 0;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        printed += diff_number("all", totals[i], integer(before, totals[i]), integer(after, totals[i]));
    printed += diff_objects(json_object_get(before, "decoders"), json_object_get(after, "decoders"));
    printed += diff_objects(json_object_get(before, "classes"), json_object_get(after, "classes"));
    return printed + diff_number("outside every class", "rows", (json_int_t)corpus_report_unknown(before),
                                 (json_int_t)corpus_report_unknown(after));
}
