/* gather.c: gathers rows from code, in parallel. */
#include "gather.h"

#include <stdlib.h>
#include <string.h>

/* How many ranges of code form a part. */
#define PART 256

bool corpus_gather(struct corpus_gathered *gathered, const struct corpus_row *row, const struct corpus_zydis *zydis)
{
    if (gathered->all)
        return corpus_rows_add(&gathered->rows, row);
    uint8_t slot[CORPUS_SLOT_BYTES];
    corpus_slot_fill(slot, row);
    return corpus_forms_add(&gathered->forms, zydis ? corpus_form_key(zydis) : corpus_form_refused(slot), row);
}

void corpus_gathered_free(struct corpus_gathered *gathered)
{
    corpus_rows_free(&gathered->rows);
    corpus_forms_free(&gathered->forms);
}

/* What the threads share. */
struct work {
    corpus_gather_part *part;
    void *context;
    atomic_size_t next;
    /* A step is a part. */
    struct corpus_workers workers;
    struct corpus_gathered *gathered;
};

static bool add(struct corpus_gathered *to, const struct corpus_gathered *from)
{
    to->instructions += from->instructions;
    to->refused += from->refused;
    to->bytes_read += from->bytes_read;
    to->bytes_left_out += from->bytes_left_out;
    return corpus_rows_add_all(&to->rows, &from->rows) && corpus_forms_add_all(&to->forms, &from->forms);
}

static void *run_worker(void *argument)
{
    struct work *work = argument;
    struct corpus_gathered own = {.all = work->gathered->all, .forms.most = work->gathered->forms.most};
    size_t number;
    bool ok = true;
    while (ok && (number = atomic_fetch_add(&work->next, 1)) < work->workers.total) {
        ok = work->part(work->context, number, &own);
        corpus_workers_advance(&work->workers, 1);
    }
    pthread_mutex_lock(&work->workers.lock);
    ok = ok && add(work->gathered, &own);
    pthread_mutex_unlock(&work->workers.lock);
    if (!ok) {
        struct corpus_error error;
        corpus_error_memory(&error);
        corpus_workers_fail(&work->workers, &error);
    }
    corpus_gathered_free(&own);
    return NULL;
}

bool corpus_gather_parts(corpus_gather_part *part, void *context, size_t part_count, unsigned jobs,
                         corpus_progress *progress, struct corpus_gathered *gathered, struct corpus_error *error)
{
    struct work work = {.part = part, .context = context, .workers.total = part_count, .gathered = gathered};
    return part_count == 0 || corpus_workers_run(&work.workers, jobs, run_worker, &work, progress, error);
}

/* Decodes from the range's first byte to its end, or to the first bytes that are no instruction. */
static bool gather_range(const struct corpus_range *range, struct corpus_gathered *gathered)
{
    ZydisDecoder decoder;
    struct corpus_zydis zydis;
    struct corpus_row row = {0};
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    gathered->bytes_read += range->size;
    for (size_t at = 0, left; (left = range->size - at) > 0; at += row.length) {
        ZyanStatus status =
            ZydisDecoderDecodeFull(&decoder, range->bytes + at, left, &zydis.instruction, zydis.operands);
        bool accepted = ZYAN_SUCCESS(status);
        memset(&row, 0, sizeof row);
        row.length = accepted ? zydis.instruction.length : (uint8_t)(left < 15 ? left : 15);
        memcpy(row.bytes, range->bytes + at, row.length);
        if (!accepted)
            gathered->bytes_left_out += left;
        if (status == ZYDIS_STATUS_NO_MORE_DATA)
            return true;
        if (!corpus_gather(gathered, &row, accepted ? &zydis : NULL))
            return false;
        gathered->instructions++;
        gathered->refused += !accepted;
        if (!accepted)
            return true;
    }
    return true;
}

struct code {
    const struct corpus_elf *elfs;
    size_t elf_count;
};

static bool gather_code_part(void *context, size_t number, struct corpus_gathered *gathered)
{
    const struct code *code = context;
    for (size_t i = 0; i < code->elf_count; i++) {
        const struct corpus_elf *elf = &code->elfs[i];
        size_t parts = (elf->count + PART - 1) / PART;
        if (number >= parts) {
            number -= parts;
            continue;
        }
        for (size_t j = number * PART; j < elf->count && j < (number + 1) * PART; j++)
            if (!gather_range(&elf->ranges[j], gathered))
                return false;
        return true;
    }
    return true;
}

bool corpus_gather_code(const struct corpus_elf *elfs, size_t elf_count, unsigned jobs, corpus_progress *progress,
                        struct corpus_gathered *gathered, struct corpus_error *error)
{
    struct code code = {elfs, elf_count};
    size_t parts = 0;
    for (size_t i = 0; i < elf_count; i++)
        parts += (elfs[i].count + PART - 1) / PART;
    return corpus_gather_parts(gather_code_part, &code, parts, jobs, progress, gathered, error);
}

bool corpus_rows_take(struct corpus_rows *rows, const char *path, struct corpus_error *error)
{
    struct corpus_elf elf;
    struct corpus_gathered gathered = {.all = true};
    enum corpus_elf_status status = corpus_elf_open(&elf, path, error);
    if (status == CORPUS_ELF_OTHER)
        return corpus_rows_read(rows, path, error);
    if (status == CORPUS_ELF_FAILED)
        return false;
    bool ok = corpus_gather_code(&elf, 1, corpus_processors(), NULL, &gathered, error);
    if (ok && !corpus_rows_add_all(rows, &gathered.rows))
        ok = corpus_error_memory(error);
    corpus_gathered_free(&gathered);
    corpus_elf_close(&elf);
    return ok;
}
