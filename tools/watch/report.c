/* report.c: see report.h. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/calls/calls.h"
#include "signals/watch/files/files.h"
#include "tools/support/json/json_write.h"
#include "tools/support/message.h"
#include "tools/watch/moves.h"
#include "tools/watch/names/chain.h"
#include "tools/watch/shown/block.h"
#include "tools/watch/shown/heat.h"
#include "tools/watch/shown/live.h"
#include "tools/watch/shown/places.h"
#include "tools/watch/text.h"

#define VERB "watch"

struct report {
    FILE *to;
    const struct options *options;
    const struct program *program;
    struct code *code;
    const struct target *targets;
    /* By id. */
    uint32_t target_of[SEGUE_WATCHES_MOST + 1];
    uint64_t begun, reported;
    /* Of the first write that failed, or 0. */
    int error;
    struct text line;
    /* In place of lines; or NULL. */
    struct heat *heat;
    struct live live;
    struct chain_frame frames[CHAIN_MOST];
    size_t frame_count;
    struct moves moves;
    struct places places;
};

static void note_error(struct report *report)
{
    if (!report->error)
        report->error = errno ? errno : EIO;
}

struct report *report_open(const struct options *options)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        abort();
    *report = (struct report){.options = options, .to = stderr};
    if (options->heat) {
        report->heat = heat_begin(options->heat);
    } else if (options->output) {
        report->to = fopen(options->output, "we");
        if (!report->to)
            complain(VERB, "%s cannot be written: %s", options->output, strerror(errno));
    }
    if (report->to && (report->heat || !options->heat))
        return report;
    free(report);
    return NULL;
}

static void close_file(struct report *report)
{
    if (report->to != stderr && fclose(report->to) != 0)
        note_error(report);
}

static void release(struct report *report)
{
    places_end(&report->places);
    heat_end(report->heat);
    moves_end(&report->moves);
    free(report->line.bytes);
    free(report);
}

void report_abandon(struct report *report)
{
    close_file(report);
    if (report->heat)
        heat_abandon(report->heat);
    release(report);
}

void report_begin(struct report *report, const struct program *program, struct code *code, const struct target *targets)
{
    const struct options *options = report->options;
    report->program = program;
    report->code = code;
    report->places.code = code;
    report->places.program = program->name;
    report->targets = targets;
    code_follow(code, &program->shared->loaded);
    if (options->output)
        setvbuf(report->to, NULL, _IOFBF, 1 << 16);
    else
        setvbuf(report->to, NULL, _IOLBF, 1 << 12);
    /* A program that was started writes to the same places as the command. */
    if (options->counts && !options->is_json)
        report->live = live_begin(report->to, program->attached ? -1 : STDOUT_FILENO);
    for (uint32_t i = 0; i < program->shared->range_count; i++)
        report->target_of[program->shared->ranges[i].id] = i;
}

/* ---- one access ---- */

static const char *verb_of(const struct segue_watch_record *record)
{
    if (record->kind == SEGUE_WATCH_ENDED)
        return "ends the watch of";
    if (record->kind == SEGUE_WATCH_MOVED)
        return "moves";
    if (record->kind == WATCH_MAPPED)
        return "maps";
    switch (record->direction & (SEGUE_READ | SEGUE_WRITE)) {
    case SEGUE_READ:
        return "reads";
    case SEGUE_WRITE:
        return "writes";
    default:
        return "updates";
    }
}

/* What makes the access, in words. */
static const char *maker_of(const struct segue_watch_record *record, const struct place *place, char text[64])
{
    const int32_t number = record->system_call;
    if (number == SEGUE_NO_SYSTEM_CALL)
        return place->instruction;
    const char *name = number < 0 ? NULL : calls_name((uint64_t)number);
    if (name)
        snprintf(text, 64, "system call %s", name);
    else
        snprintf(text, 64, "system call %d", number);
    return text;
}

struct access {
    const struct segue_watch_record *record;
    /* NULL: in none of the heap. */
    const struct queue_block *block;
    const struct target *target;
    const struct place_thread *thread;
    const struct place *place;
    /* "counter", or "table+8". */
    char name[300];
    /* Nanoseconds since the first one. Another thread's may have been before that. */
    int64_t time;
    char before[VALUE_TEXT], after[VALUE_TEXT];
    const char *maker;
    char call[64];
};

static void add_values(struct text *line, const struct access *access)
{
    text_add(line, ": ");
    text_add(line, access->before);
    if (access->record->direction & SEGUE_WRITE) {
        text_add(line, " -> ");
        text_add(line, access->after);
    }
}

static bool is_placed(const struct segue_watch_record *record)
{
    return record->kind == SEGUE_WATCH_MOVED || record->kind == WATCH_MAPPED;
}

static void add_move(struct text *line, const struct segue_watch_record *record)
{
    char to[32];
    snprintf(to, sizeof to, " %s %#" PRIx64, record->kind == WATCH_MAPPED ? "at" : "to", record->moved_to);
    text_add(line, to);
}

/* The function that has allocated it. */
static const char *allocator_of(struct report *report, const struct queue_block *block)
{
    return places_caller(&report->places, &(struct chain_frame){block->caller, true});
}

static void print_line(struct report *report, const struct access *access)
{
    const struct segue_watch_record *record = access->record;
    struct text *line = &report->line;
    line->length = 0;
    text_add_seconds(line, access->time);
    text_add(line, " ");
    text_add(line, access->thread->shown);
    text_add(line, "/");
    text_add_decimal(line, record->thread);
    text_add(line, " ");
    text_add(line, access->place->where);
    text_add(line, ": ");
    text_add(line, access->maker);
    text_add(line, ": ");
    text_add(line, verb_of(record));
    text_add(line, " ");
    text_add(line, access->name);
    text_add(line, " (");
    text_add_decimal(line, record->size);
    text_add(line, record->size == 1 ? " byte" : " bytes");
    if (access->block)
        block_add(line, access->block, allocator_of(report, access->block));
    text_add(line, ")");
    if (is_placed(record))
        add_move(line, record);
    else if (record->has_values)
        add_values(line, access);
    text_add(line, "\n");
    for (size_t i = 0; i < report->frame_count; i++) {
        text_add(line, "            by ");
        text_add(line, places_caller(&report->places, &report->frames[i]));
        text_add(line, "\n");
    }
    fwrite(line->bytes, 1, line->length, report->to);
}

static void print_json(struct report *report, const struct access *access)
{
    const struct segue_watch_record *record = access->record;
    const struct place *place = access->place;
    struct json_writer json = {.to = report->to};
    json_open(&json, NULL, '{');
    json_decimal(&json, "time", (double)access->time / 1e9);
    json_number(&json, "process", record->process);
    json_number(&json, "thread", (int64_t)record->thread);
    json_text(&json, "thread_name", access->thread->name);
    json_number(&json, "site", (int64_t)record->site);
    if (place->function)
        json_text(&json, "function", place->function);
    if (place->file)
        json_text(&json, "file", place->file);
    json_text(&json, "where", place->where);
    json_text(&json, "instruction", access->maker);
    json_text(&json, "target", access->block ? access->target->name : access->name);
    if (access->block)
        block_write(&json, access->block, allocator_of(report, access->block));
    json_number(&json, "address", (int64_t)record->address);
    json_number(&json, "size", (int64_t)record->size);
    json_text(&json, "access", verb_of(record));
    if (is_placed(record))
        json_number(&json, "to", (int64_t)record->moved_to);
    if (place->line)
        json_number(&json, "line", place->line);
    if (record->has_values)
        json_text(&json, "old", access->before);
    if (record->has_values && (record->direction & SEGUE_WRITE))
        json_text(&json, "new", access->after);
    if (report->options->callers) {
        json_open(&json, "callers", '[');
        for (size_t i = 0; i < report->frame_count; i++)
            json_text(&json, NULL, places_caller(&report->places, &report->frames[i]));
        json_close(&json, ']');
    }
    json_close(&json, '}');
    fputc('\n', report->to);
}

static void name_access(const struct target *target, uint64_t offset, char *name, size_t size)
{
    const size_t length = strlen(target->name);
    if (target->path)
        snprintf(name, size, "%s+0x%" PRIx64, target->shown, target->offset + offset);
    else if (offset == 0 && length < size)
        memcpy(name, target->name, length + 1);
    else
        snprintf(name, size, "%s+%" PRIu64, target->name, offset);
}

/* Whether the access is wanted; fills in what a line needs. */
static bool describe_access(struct report *report, const struct segue_watch_record *record, struct access *access)
{
    const struct options *options = report->options;
    access->record = record;
    if (record->process != (uint32_t)report->program->process && !options->follows)
        return false;
    access->target = &report->targets[report->target_of[record->id]];
    access->thread = places_thread(&report->places, record);
    if (record->kind == SEGUE_WATCH_ACCESS && options->thread && !places_is_thread(options->thread, access->thread))
        return false;
    if (record->has_values &&
        !condition_holds(&options->condition, access->target, record->size, record->before, record->after))
        return false;
    access->place = places_of(&report->places, record->site);
    if (access->place->is_own)
        return false;
    if (!report->begun)
        report->begun = record->time;
    access->time = (int64_t)(record->time - report->begun);
    return true;
}

/* Where in its target the record's address is. */
static uint64_t offset_of(const struct report *report, const struct segue_watch_record *record,
                          const struct target *target)
{
    if (target->path)
        return file_offset_of(record) - target->offset;
    return moves_origin(&report->moves, record) - target->address;
}

static void print_access(struct report *report, const struct segue_watch_record *record, struct access *access)
{
    const uint64_t offset = offset_of(report, record, access->target);
    access->maker = maker_of(record, access->place, access->call);
    if (access->block)
        block_name(access->block, record->address, access->name, sizeof access->name);
    else
        name_access(access->target, offset, access->name, sizeof access->name);
    value_print(access->before, access->target, offset, record->size, record->before);
    value_print(access->after, access->target, offset, record->size, record->after);
    errno = 0;
    (report->options->is_json ? print_json : print_line)(report, access);
    if (ferror(report->to))
        note_error(report);
}

/* The program has changed what is mapped. */
static void report_change(struct report *report, const struct segue_watch_record *record)
{
    struct access access = {.block = NULL};
    report->frame_count = 0;
    if (!report->heat && describe_access(report, record, &access))
        print_access(report, record, &access);
    if (record->kind == SEGUE_WATCH_MOVED)
        moves_add(&report->moves, record);
}

bool report_access(struct report *report, const struct segue_watch_record *record, const struct queue_block *block,
                   const struct queue_stack *stack, bool *goes_on)
{
    const struct options *options = report->options;
    report->code->number = report->program->shared->queue.takes - 1;
    report->code->by = record->process;
    struct access access = {.block = block->start ? block : NULL};
    if (record->kind != SEGUE_WATCH_ACCESS) {
        report_change(report, record);
        *goes_on = !report->error;
        return false;
    }
    if (!describe_access(report, record, &access))
        return false;
    if (report->heat) {
        heat_note(report->heat, report->targets, report->program->shared->range_count, report->target_of[record->id],
                  offset_of(report, record, access.target), record->size, access.time);
    } else {
        report->frame_count = stack ? chain_find(report->code, stack, report->frames, options->callers) : 0;
        print_access(report, record, &access);
        /* Whoever looks then sees the line. */
        if (options->stops)
            fflush(report->to);
    }
    *goes_on = !report->error && ++report->reported < options->limit;
    return true;
}

/* ---- counts ---- */

static int compare(const void *one, const void *other)
{
    const struct counts_place *first = one, *second = other;
    uint64_t of_first = first->reads + first->writes, of_second = second->reads + second->writes;
    if (of_first != of_second)
        return of_first > of_second ? -1 : 1;
    return first->key < second->key ? -1 : first->key > second->key;
}

static void print_count(struct report *report, FILE *to, const struct counts_place *place)
{
    const char *name = report->targets[report->target_of[place->key >> COUNTS_SITE_BITS]].name;
    const struct place *at = places_of(&report->places, place->key & ((UINT64_C(1) << COUNTS_SITE_BITS) - 1));
    if (report->options->is_json) {
        struct json_writer json = {.to = to};
        json_open(&json, NULL, '{');
        json_number(&json, "reads", (int64_t)place->reads);
        json_number(&json, "writes", (int64_t)place->writes);
        json_text(&json, "target", name);
        json_text(&json, "where", at->where);
        json_text(&json, "instruction", at->instruction);
        json_close(&json, '}');
        fputc('\n', to);
        return;
    }
    fprintf(to, "%12" PRIu64 " %12" PRIu64 "  %s  %s: %s\n", place->reads, place->writes, name, at->where,
            at->instruction);
}

/* The most frequent ones. */
static void print_counts(struct report *report, FILE *to, size_t most)
{
    const struct counts_place *table = report->program->shared->counts;
    struct counts_place *found = calloc(COUNTS_PLACES, sizeof *found);
    size_t count = 0;
    if (!found)
        abort();
    report->code->number = UINT64_MAX;
    report->code->by = 0;
    for (size_t i = 0; i < COUNTS_PLACES; i++)
        if (table[i].reads || table[i].writes)
            found[count++] = table[i];
    qsort(found, count, sizeof *found, compare);
    if (!report->options->is_json)
        fprintf(to, "%12s %12s  %s\n", "reads", "writes", "what, and by which instruction");
    for (size_t i = 0; i < count && i < most; i++)
        print_count(report, to, &found[i]);
    free(found);
}

static void say_what_is_lost(const struct report *report)
{
    const uint64_t lost = report->program->shared->queue.lost;
    if (lost == 1)
        complain(VERB, "1 access could not be reported: the thread that made it was killed meanwhile");
    else if (lost)
        complain(VERB, "%" PRIu64 " accesses could not be reported: the threads that made them were killed meanwhile",
                 lost);
}

static void say_what_is_not_counted(const struct report *report)
{
    const struct counts_place *table = report->program->shared->counts;
    const uint64_t lost = table[COUNTS_PLACES].reads;
    if (lost)
        complain(VERB, "%" PRIu64 " access%s could not be counted: more than %u instructions access the targets", lost,
                 lost == 1 ? "" : "es", COUNTS_PLACES);
}

static void say_what_is_unwatched(uint64_t blocks)
{
    static const char why[] =
        "of 1 GiB or more, or there was no memory; heap:SIZE-SIZE or heap@FUNCTION asks for fewer";
    if (blocks == 1)
        complain(VERB, "1 block is not watched: it is %s", why);
    else if (blocks)
        complain(VERB, "%" PRIu64 " blocks are not watched: they are %s", blocks, why);
}

void report_meanwhile(struct report *report)
{
    char *text = NULL;
    size_t size;
    /* The command may be killed, and whoever reads along sees what there is. */
    if (fflush(report->to) != 0)
        note_error(report);
    if (!live_is_due(&report->live))
        return;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        abort();
    print_counts(report, to, live_room(&report->live) - 1);
    fclose(to);
    live_draw(&report->live, text);
    free(text);
}

bool report_end(struct report *report)
{
    const struct options *options = report->options;
    errno = 0;
    say_what_is_unwatched(report->program->shared->unwatched_blocks);
    if (options->counts) {
        live_end(&report->live);
        print_counts(report, report->to, SIZE_MAX);
        say_what_is_not_counted(report);
    }
    say_what_is_lost(report);
    if (fflush(report->to) != 0 || ferror(report->to))
        note_error(report);
    close_file(report);
    const int error = report->error;
    if (error)
        complain(VERB, "the report could not be written: %s", strerror(error));
    const bool is_drawn =
        !report->heat || heat_draw(report->heat, report->targets, report->program->shared->range_count);
    release(report);
    return error == 0 && is_drawn;
}
