/* report.c: tables, JSON and the RATIO lines. */
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/utsname.h>

static const char *clock_name(clockid_t clock)
{
    if (clock == BENCH_CLOCK_CHILDREN)
        return "children's CPU time";
    if (clock == CLOCK_PROCESS_CPUTIME_ID)
        return "process CPU time";
    return clock == CLOCK_THREAD_CPUTIME_ID ? "thread CPU time" : "monotonic";
}

static const char *kernel(void)
{
    static struct utsname name;
    return uname(&name) == 0 ? name.release : "unknown";
}

static void variant_table(FILE *to, const struct report *report)
{
    const struct bench_suite *suite = report->suite;
    fprintf(to, "\n%-28s %10s %10s %10s   %s\n", "variant", "median ns", "p10", "p90", "one operation");
    for (size_t i = 0; i < suite->variant_count; i++) {
        const struct figure *figure = &report->variants[i];
        const struct bench_variant *variant = &suite->variants[i];
        if (figure->skipped)
            fprintf(to, "%-28s %10s %10s %10s   not measured: %s\n", variant->name, "-", "-", "-", figure->skipped);
        else
            fprintf(to, "%-28s %10.1f %10.1f %10.1f   %s%s%s\n", variant->name, figure->spread.median,
                    figure->spread.p10, figure->spread.p90, variant->unit ? variant->unit : "",
                    variant->unit ? ", not ns: " : "", variant->what);
    }
}

static void ratio_table(FILE *to, const struct report *report)
{
    fprintf(to, "\n%-40s %10s %10s %10s   %s\n", "ratio", "median", "p10", "p90", "of");
    for (size_t i = 0; i < report->quotient_count; i++) {
        const struct figure *figure = &report->ratios[i];
        const struct quotient *ratio = &report->quotients[i];
        if (figure->skipped)
            fprintf(to, "%-40s %10s %10s %10s   not measured: %s\n", ratio->name, "-", "-", "-", figure->skipped);
        else
            fprintf(to, "%-40s %10.3f %10.3f %10.3f   ", ratio->name, figure->spread.median, figure->spread.p10,
                    figure->spread.p90);
        if (!figure->skipped && ratio->other_variant)
            fprintf(to, "%s / %s over %s / %s\n", ratio->variant, ratio->base, ratio->other_variant, ratio->other_base);
        else if (!figure->skipped)
            fprintf(to, "%s / %s\n", ratio->variant, ratio->base);
    }
}

void report_tables(FILE *to, const struct report *report)
{
    const struct bench_suite *suite = report->suite;
    fprintf(to, "%s: %s\n", suite->name, suite->title);
    fprintf(to, "%u rounds of %u operations, processor %d, %s, Linux %s%s\n", report->rounds, suite->operations,
            report->processor, clock_name(suite->clock), kernel(), report->quick ? ", quick" : "");
    variant_table(to, report);
    ratio_table(to, report);
    if (report->note_count)
        fprintf(to, "\n%-28s %10s   %s\n", "note", "value", "unit");
    for (size_t i = 0; i < report->note_count; i++)
        fprintf(to, "%-28s %10.1f   %s\n", report->notes[i].name, report->notes[i].value, report->notes[i].unit);
    fputc('\n', to);
}

void report_ratios(FILE *to, const struct report *report)
{
    for (size_t i = 0; i < report->quotient_count; i++) {
        const struct figure *figure = &report->ratios[i];
        const char *name = report->quotients[i].name;
        if (figure->skipped)
            fprintf(to, "SKIP %s %s\n", name, figure->skipped);
        else
            fprintf(to, "RATIO %s %.3f\n", name, figure->spread.median);
    }
}

/* What a variant and a ratio have in common. */
static json_t *figure_json(const char *name, const struct figure *figure)
{
    if (figure->skipped)
        return json_pack("{s:s, s:s}", "name", name, "skipped", figure->skipped);
    return json_pack("{s:s, s:f, s:f, s:f}", "name", name, "median", figure->spread.median, "p10", figure->spread.p10,
                     "p90", figure->spread.p90);
}

static json_t *variants_json(const struct report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->suite->variant_count; i++) {
        const struct bench_variant *variant = &report->suite->variants[i];
        json_t *object = figure_json(variant->name, &report->variants[i]);
        json_object_set_new(object, "operation", json_string(variant->what));
        if (variant->unit)
            json_object_set_new(object, "unit", json_string(variant->unit));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *ratios_json(const struct report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->quotient_count; i++) {
        const struct quotient *ratio = &report->quotients[i];
        json_t *object = figure_json(ratio->name, &report->ratios[i]);
        json_object_set_new(object, "variant", json_string(ratio->variant));
        json_object_set_new(object, "base", json_string(ratio->base));
        if (ratio->other_variant) {
            json_object_set_new(object, "other_variant", json_string(ratio->other_variant));
            json_object_set_new(object, "other_base", json_string(ratio->other_base));
        }
        if (!report->ratios[i].skipped)
            json_object_set_new(object, "of_medians", json_real(report->ratios[i].of_medians));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *notes_json(const struct report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->note_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:s}", "name", report->notes[i].name, "value",
                                              report->notes[i].value, "unit", report->notes[i].unit));
    return list;
}

bool report_json(FILE *to, const struct report *report)
{
    const struct bench_suite *suite = report->suite;
    json_t *document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:b, s:o, s:o, s:o}", "program", suite->name,
                                 "title", suite->title, "unit", "ns", "clock", clock_name(suite->clock), "kernel",
                                 kernel(), "processor", report->processor, "rounds", (int)report->rounds, "operations",
                                 (int)suite->operations, "quick", report->quick, "variants", variants_json(report),
                                 "ratios", ratios_json(report), "notes", notes_json(report));
    if (!document) {
        errno = ENOMEM;
        return false;
    }
    bool written = json_dumpf(document, to, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 && fputc('\n', to) != EOF &&
                   fflush(to) == 0;
    json_decref(document);
    return written;
}
