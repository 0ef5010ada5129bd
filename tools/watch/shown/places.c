/* places.c: see places.h. */
#include "places.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"

const struct place *places_of(struct places *places, uint64_t address)
{
    static const struct place unknown = {.where = (char *)"?", .instruction = (char *)"?"};
    const uint64_t key = code_key(places->code, address);
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    struct place_site *site;
    for (unsigned i = 0;; i++) {
        site = &places->sites[(hash + i) & (PLACES_SITES - 1)];
        if (site->key == key)
            return &site->place;
        if (!site->key)
            break;
        if (i == PLACES_SITES / 2)
            return &unknown;
    }
    struct place place;
    if (!code_describe(places->code, address, &place) &&
        (!code_renew_for(places->code, address) || !code_describe(places->code, address, &place)))
        return &unknown;
    *site = (struct place_site){key, place};
    return &site->place;
}

const char *places_caller(struct places *places, const struct chain_frame *frame)
{
    const uint64_t key = code_key(places->code, frame->address);
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    if (!frame->is_return)
        return places_of(places, frame->address)->where;
    for (unsigned i = 0; i < PLACES_SITES / 2; i++) {
        struct place_caller *caller = &places->callers[(hash + i) & (PLACES_SITES - 1)];
        if (caller->key == key)
            return caller->where;
        if (caller->key)
            continue;
        char *where = code_describe_return(places->code, frame->address);
        if (!where && code_renew_for(places->code, frame->address))
            where = code_describe_return(places->code, frame->address);
        if (!where)
            break;
        *caller = (struct place_caller){key, where};
        return where;
    }
    return "?";
}

static void read_name(const struct places *places, const struct segue_watch_record *record, struct place_thread *thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/task/%" PRIu64 "/comm", record->process, record->thread);
    FILE *from = fopen(path, "re");
    if (from && !fgets(thread->name, sizeof thread->name, from))
        thread->number = 0;
    if (!from && thread->number != record->thread) {
        const char *slash = strrchr(places->program, '/');
        snprintf(thread->name, sizeof thread->name, "%.15s", slash ? slash + 1 : places->program);
    }
    thread->number = record->thread;
    thread->name[strcspn(thread->name, "\n")] = 0;
    char *shown = quoted_name(thread->name);
    snprintf(thread->shown, sizeof thread->shown, "%s", shown);
    free(shown);
    if (from)
        fclose(from);
}

const struct place_thread *places_thread(struct places *places, const struct segue_watch_record *record)
{
    struct place_thread *thread = &places->threads[record->thread & (PLACES_THREADS - 1)];
    if (thread->number != record->thread)
        thread->accesses = 0;
    if ((thread->accesses & (thread->accesses - 1)) == 0)
        read_name(places, record, thread);
    thread->accesses += thread->accesses < UINT32_C(1) << 31;
    return thread;
}

bool places_is_thread(const char *wanted, const struct place_thread *thread)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, thread->number);
    return strcmp(wanted, thread->name) == 0 || strcmp(wanted, number) == 0;
}

void places_end(struct places *places)
{
    for (size_t i = 0; i < PLACES_SITES; i++) {
        struct place *place = &places->sites[i].place;
        free(place->where);
        free(place->function);
        free(place->file);
        free(place->instruction);
        free(places->callers[i].where);
    }
}
