/* verb_stat.c: `segue corpus stat`: what the rows are, and how many of them each engine covers, or none.
 *
 * A row counts as memory if the decoder lists memory operands for it. segue_plan decides which engine covers it, given
 * registers that hold ordinary addresses and memory that is accessible at its own address. Each row counts once; beside
 * it stands how often it occurred. */
#include <jansson.h>
#include <segue/emulate.h>
#include <stdio.h>
#include <string.h>

#include "corpus/gather/form.h"
#include "corpus/rows/shape.h"
#include "data.h"
#include "decode/x86/selectors.h"
#include "shown.h"
#include "tools/corpus/report/report.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"
#include "tools/support/progress.h"
#include "tools/support/verb.h"
#include "verbs.h"

/* By enum segue_engine; an engine that is newer than this table is counted under its number. */
static const char *const engine_names[] = {
    [SEGUE_ENGINE_NONE] = "none",
    [SEGUE_ENGINE_MOVE] = "move",
    [SEGUE_ENGINE_REPLAY] = "replay",
    [SEGUE_ENGINE_STACK] = "stack",
};
#define ENGINES 16

/* The refused instructions: mnemonics and reasons. */
#define REFUSALS 256
struct refusal {
    uint16_t mnemonic;
    const char *why;
    uint64_t rows, times;
};

struct counts {
    uint64_t rows, undefined, memory;
    /* The same, each row as often as it occurred; and how many of those no engine covers. */
    uint64_t memory_times, refused_times;
    struct refusal refusals[REFUSALS];
    size_t refusal_count;
    uint64_t encodings[CORPUS_ENCODINGS];
    uint64_t classes[SEGUE_CLASS_COUNT];
    uint64_t class_memory[SEGUE_CLASS_COUNT];
    uint64_t class_engines[SEGUE_CLASS_COUNT][ENGINES];
    uint64_t engines[ENGINES];
    struct corpus_forms forms;
};

/* XSAVE areas: in one all masks are empty and every index is 0; in the other all masks are full. */
static const struct segue_xstate *ordinary_state(bool full)
{
    static _Alignas(64) uint8_t areas[2][4096];
    static struct segue_xstate states[2];
    uint64_t components = 0xe7;
    memset(areas[full], full ? 0xff : 0, sizeof areas[full]);
    memset(areas[full] + 512, 0, 64);
    memcpy(areas[full] + 512, &components, sizeof components);
    states[full] = (struct segue_xstate){.area = areas[full], .size = sizeof areas[full], .features = components};
    return &states[full];
}

static unsigned engine_of(const struct segue_insn *insn, const char **refusal)
{
    struct segue_regs regs;
    static _Thread_local _Alignas(64) uint8_t memory[SEGUE_PLAN_SIZE_MOST];
    const struct segue_plan *plan;
    for (unsigned i = 0; i < SEGUE_REGISTER_COUNT; i++)
        *segue_register_at(&regs, i) = 0x10000000 + 0x10000 * i;
    regs.rflags = 0x202;
    memset(regs.selectors, 0, sizeof regs.selectors);
    regs.selectors[SEGUE_SEGMENT_CS] = selectors_code();
    regs.selectors[SEGUE_SEGMENT_SS] = selectors_stack();
    /* With an empty mask an instruction accesses nothing. */
    if (segue_plan_in(memory, sizeof memory, insn, &regs, ordinary_state(false), NULL, NULL, 0, &plan) != SEGUE_OK &&
        segue_plan_in(memory, sizeof memory, insn, &regs, ordinary_state(true), NULL, NULL, 0, &plan) != SEGUE_OK) {
        *refusal = plan->refusal;
        return SEGUE_ENGINE_NONE;
    }
    return (unsigned)plan->engine < ENGINES ? (unsigned)plan->engine : ENGINES - 1;
}

static void count_refusal(struct counts *counts, unsigned mnemonic, const char *why, uint64_t times)
{
    size_t i = 0;
    while (i < counts->refusal_count && (counts->refusals[i].mnemonic != mnemonic || counts->refusals[i].why != why))
        i++;
    if (i == REFUSALS)
        return;
    if (i == counts->refusal_count)
        counts->refusals[counts->refusal_count++] = (struct refusal){.mnemonic = (uint16_t)mnemonic, .why = why};
    counts->refusals[i].rows++;
    counts->refusals[i].times += times;
}

static void count_memory(struct counts *counts, const struct segue_insn *insn, uint64_t times)
{
    const char *why = NULL;
    unsigned engine = engine_of(insn, &why);
    counts->memory++;
    counts->memory_times += times;
    counts->class_memory[insn->class_]++;
    counts->class_engines[insn->class_][engine]++;
    counts->engines[engine]++;
    if (engine != SEGUE_ENGINE_NONE)
        return;
    counts->refused_times += times;
    count_refusal(counts, insn->mnemonic, why, times);
}

static bool count_row(struct counts *counts, const struct corpus_row *row)
{
    uint8_t slot[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    struct corpus_answer answer;
    struct corpus_shape shape;
    struct segue_insn insn;
    corpus_slot_fill(slot, row);
    counts->rows++;
    if (segue_decode(SEGUE_MODE_64, slot, sizeof slot, &insn) != SEGUE_OK) {
        counts->undefined++;
        return true;
    }
    corpus_zydis_answer(slot, &zydis, &answer);
    corpus_shape_read(slot, &shape);
    counts->encodings[shape.encoding]++;
    counts->classes[insn.class_]++;
    if (insn.memory_count)
        count_memory(counts, &insn, row->again + UINT64_C(1));
    return corpus_forms_add(&counts->forms, corpus_form_key(&zydis), row);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *engine_name(unsigned engine, char text[16])
{
    if (engine < sizeof engine_names / sizeof *engine_names)
        return engine_names[engine];
    snprintf(text, 16, "engine-%u", engine);
    return text;
}

static void print_refusals(const struct counts *counts)
{
    for (size_t i = 0; i < counts->refusal_count; i++)
        printf("  %-16s %8llu row%s, %8llu time%s: %s\n", segue_mnemonic_name(counts->refusals[i].mnemonic),
               (unsigned long long)counts->refusals[i].rows, plural(counts->refusals[i].rows),
               (unsigned long long)counts->refusals[i].times, plural(counts->refusals[i].times),
               counts->refusals[i].why);
}

static void print(const struct counts *counts)
{
    char text[16];
    printf("rows %llu, no instruction %llu, distinct forms %zu, with memory %llu\n", (unsigned long long)counts->rows,
           (unsigned long long)counts->undefined, counts->forms.count, (unsigned long long)counts->memory);
    for (unsigned i = 0; i < CORPUS_ENCODINGS; i++)
        printf("  %-8s %10llu\n", corpus_encoding_names[i], (unsigned long long)counts->encodings[i]);
    printf("\n%-14s %10s %7s %10s %7s  %s\n", "class", "rows", "%", "memory", "%", "of memory, by engine");
    for (unsigned i = 0; i < SEGUE_CLASS_COUNT; i++) {
        if (!counts->classes[i])
            continue;
        printf("%-14s %10llu %7.3f %10llu %7.3f ", segue_class_name(i), (unsigned long long)counts->classes[i],
               percent(counts->classes[i], counts->rows), (unsigned long long)counts->class_memory[i],
               percent(counts->class_memory[i], counts->memory));
        for (unsigned j = 0; j < ENGINES; j++)
            if (counts->class_engines[i][j])
                printf(" %s %.1f%%", engine_name(j, text),
                       percent(counts->class_engines[i][j], counts->class_memory[i]));
        putchar('\n');
    }
    printf("\nof all rows with memory:");
    for (unsigned i = 0; i < ENGINES; i++)
        if (counts->engines[i])
            printf(" %s %.2f%%", engine_name(i, text), percent(counts->engines[i], counts->memory));
    printf("\nof these, as often as they came: %llu of %llu can be stepped, %.4f %%\n",
           (unsigned long long)(counts->memory_times - counts->refused_times), (unsigned long long)counts->memory_times,
           percent(counts->memory_times - counts->refused_times, counts->memory_times));
    print_refusals(counts);
}

static json_t *engines_json(const uint64_t engines[ENGINES])
{
    char text[16];
    json_t *object = json_object();
    for (unsigned i = 0; i < ENGINES; i++)
        if (engines[i])
            json_object_set_new(object, engine_name(i, text), json_integer((json_int_t)engines[i]));
    return object;
}

static json_t *refusals_json(const struct counts *counts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < counts->refusal_count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:I, s:I}", "mnemonic",
                                               segue_mnemonic_name(counts->refusals[i].mnemonic), "why",
                                               counts->refusals[i].why, "rows", (json_int_t)counts->refusals[i].rows,
                                               "times", (json_int_t)counts->refusals[i].times));
    return array;
}

static bool print_json(const struct counts *counts)
{
    json_t *encodings = json_object(), *classes = json_object();
    for (unsigned i = 0; i < CORPUS_ENCODINGS; i++)
        json_object_set_new(encodings, corpus_encoding_names[i], json_integer((json_int_t)counts->encodings[i]));
    for (unsigned i = 0; i < SEGUE_CLASS_COUNT; i++)
        if (counts->classes[i])
            json_object_set_new(classes, segue_class_name(i),
                                json_pack("{s:I, s:I, s:o}", "rows", (json_int_t)counts->classes[i], "memory",
                                          (json_int_t)counts->class_memory[i], "engines",
                                          engines_json(counts->class_engines[i])));
    json_t *report = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "report", "segue corpus stat",
                               "rows", (json_int_t)counts->rows, "undefined", (json_int_t)counts->undefined, "forms",
                               (json_int_t)counts->forms.count, "memory", (json_int_t)counts->memory, "memory_times",
                               (json_int_t)counts->memory_times, "refused_times", (json_int_t)counts->refused_times,
                               "refusals", refusals_json(counts), "encodings", encodings, "classes", classes, "engines",
                               engines_json(counts->engines));
    bool ok = corpus_report_write(report, NULL);
    json_decref(report);
    return ok;
}

static int stat_rows(const struct corpus_rows *rows, bool json)
{
    static struct counts counts;
    bool ok = true;
    counts = (struct counts){.forms.most = 1};
    /* Without it, plans would refuse every instruction that the replay engine covers. */
    segue_replay_prepare();
    progress_begin("counting rows", rows->count);
    for (size_t i = 0; ok && i < rows->count; i++) {
        ok = count_row(&counts, &rows->rows[i]);
        progress_advance(1);
    }
    progress_end();
    if (!ok)
        complain("corpus", "out of memory");
    else if (json)
        ok = print_json(&counts);
    else
        print(&counts);
    corpus_forms_free(&counts.forms);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

int corpus_verb_stat(int argument_count, char **arguments)
{
    struct command_line line;
    struct corpus_rows rows = {0};
    bool json = false;
    int option;
    command_line_begin(&line, &corpus_stat_words, argument_count, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END) {
        if (option != CORPUS_OPTION_JSON)
            return misuse_of_line(&line);
        json = true;
    }
    if (optind == argument_count)
        return misuse("corpus", "stat of what?");
    bool ok = true;
    for (int i = optind; ok && i < argument_count; i++)
        ok = corpus_take_shown(&rows, corpus_find_rows(arguments[i], NULL));
    int code = ok ? stat_rows(&rows, json) : EXIT_FAILED;
    corpus_rows_free(&rows);
    return code;
}
