/* check.c: checks rows: asks every decoder, compares the answers, and finds the class of each difference.
 *
 * One thread checks a chunk of rows at a time. The decoders in this process answer each row when its turn comes.
 * objdump spends its time on starting up and on lines of text, so one process gets a whole chunk, first without gaps:
 * rows that are one instruction each follow one another, and a line that begins at a row and has the row's length is
 * the row's answer. Rows without such a line (no instruction; another length; a line that ran over into the next row)
 * go to objdump again, each in a slot of its own that is filled up with NOPs, so that no neighbour can be mistaken for
 * a part of the row. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/decoders/objdump.h"
#include "corpus/decoders/outside.h"
#include "corpus/decoders/text.h"
#include "judge.h"
#include "spoil.h"

/* Rows that one thread takes at a time. */
#define CHUNK 262144
/* A slot for objdump: the longest row, then so many NOPs that whatever it decodes from the row has ended by the slot's
 * end. */
#define SLOT CORPUS_SLOT_BYTES

/* What the threads share. */
struct work {
    const struct corpus_check *check;
    /* The rows of the shard, by number. */
    uint32_t *rows;
    size_t count;
    atomic_size_t next;
    /* A step is a row. */
    struct corpus_workers workers;
    struct corpus_counts *counts;
};

/* One thread's. */
struct worker {
    struct work *work;
    struct corpus_judge judge;
    struct corpus_error error;
    /* For one chunk: the rows that objdump has yet to answer, where each is in `bytes`, and objdump's input. */
    uint32_t *pending;
    uint32_t *starts;
    uint8_t *bytes;
    /* The answers from outside to the chunk's rows, by party. */
    struct corpus_outside outside[CORPUS_PARTIES];
};

static const struct corpus_row *row_of(const struct worker *worker, uint32_t number)
{
    return &worker->work->check->rows->rows[number];
}

/* Gives the chunk to the decoders from outside. */
static bool run_outside(struct worker *worker, const uint32_t *rows, size_t count)
{
    const struct corpus_check *check = worker->work->check;
    bool ok = true;
    for (unsigned i = CORPUS_OUTSIDE; ok && i < CORPUS_PARTIES; i++)
        if (check->outside[i])
            ok = corpus_outside_run(&worker->outside[i], corpus_party_names[i], check->outside[i], check->rows, rows,
                                    count, check->patience, &worker->error);
    return ok;
}

static bool take_outside(struct worker *worker)
{
    for (unsigned i = CORPUS_OUTSIDE; i < CORPUS_PARTIES; i++)
        if (worker->outside[i].name &&
            !corpus_outside_next(&worker->outside[i], &worker->judge.row.answers[i], &worker->error))
            return false;
    return true;
}

static void end_outside(struct worker *worker)
{
    for (unsigned i = CORPUS_OUTSIDE; i < CORPUS_PARTIES; i++)
        corpus_outside_end(&worker->outside[i]);
}

static void objdump_answer(struct worker *worker, const struct corpus_objdump_line *line)
{
    struct corpus_answer *answer = &worker->judge.row.answers[CORPUS_OBJDUMP];
    answer->length = (uint8_t)(line->length < 255 ? line->length : 255);
    corpus_text_read(line->text, line->text_length, line->address, answer);
}

/* Counts the row at hand as it stands. */
static void count_row(struct worker *worker)
{
    if (worker->work->check->spoils)
        corpus_spoil(&worker->judge);
    corpus_judge_count(&worker->judge);
}

/* Judges a row, given objdump's answer. */
static void judge_with(struct worker *worker, uint32_t number, const struct corpus_objdump_line *line)
{
    corpus_judge_ask(&worker->judge, row_of(worker, number));
    objdump_answer(worker, line);
    corpus_judge_compare(&worker->judge);
    count_row(worker);
}

/* Advances in the listing to the line for an address, which must be there. */
static bool find_line(struct worker *worker, struct corpus_objdump *objdump, struct corpus_objdump_line *line,
                      uint64_t address)
{
    while (corpus_objdump_next(objdump, line))
        if (line->address == address)
            return true;
    return corpus_error_set(&worker->error, NULL, NULL,
                            "objdump's listing lacks the line for a row; is it objdump of GNU binutils?");
}

/* Has objdump list the pending rows back to back. Judges those whose answer is certain; the others stay pending. */
static bool referee_packed(struct worker *worker, size_t *pending_count)
{
    struct corpus_objdump objdump;
    struct corpus_objdump_line line;
    size_t count = *pending_count, size = 0, kept = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct corpus_row *row = row_of(worker, worker->pending[i]);
        worker->starts[i] = (uint32_t)size;
        memcpy(worker->bytes + size, row->bytes, row->length);
        size += row->length;
    }
    memset(worker->bytes + size, 0x90, SLOT);
    if (!corpus_objdump_run(&objdump, worker->work->check->objdump, worker->bytes, size + SLOT, &worker->error))
        return false;
    while (at < count && corpus_objdump_next(&objdump, &line)) {
        while (at < count && worker->starts[at] < line.address)
            worker->pending[kept++] = worker->pending[at++];
        if (at == count || worker->starts[at] != line.address)
            continue;
        const struct corpus_row *row = row_of(worker, worker->pending[at]);
        if (line.length == row->length)
            judge_with(worker, worker->pending[at], &line);
        else
            worker->pending[kept++] = worker->pending[at];
        at++;
    }
    while (at < count)
        worker->pending[kept++] = worker->pending[at++];
    corpus_objdump_end(&objdump);
    *pending_count = kept;
    return true;
}

/* Has objdump list the pending rows, each in a slot of its own, and judges all of them. */
static bool referee_slots(struct worker *worker, size_t count)
{
    struct corpus_objdump objdump;
    struct corpus_objdump_line line;
    size_t at = 0;
    if (count == 0)
        return true;
    for (size_t i = 0; i < count; i++)
        corpus_slot_fill(worker->bytes + i * SLOT, row_of(worker, worker->pending[i]));
    if (!corpus_objdump_run(&objdump, worker->work->check->objdump, worker->bytes, count * SLOT, &worker->error))
        return false;
    while (at < count && find_line(worker, &objdump, &line, at * SLOT))
        judge_with(worker, worker->pending[at++], &line);
    corpus_objdump_end(&objdump);
    return at == count;
}

/* With outside decoders, whose answers come in the rows' order, objdump gets slots, in that order too. */
static bool check_in_order(struct worker *worker, const uint32_t *rows, size_t count)
{
    struct corpus_objdump objdump = {0};
    struct corpus_objdump_line line = {0};
    const struct corpus_check *check = worker->work->check;
    bool referee = check->referee != CORPUS_REFEREE_NONE, ok = run_outside(worker, rows, count);
    for (size_t i = 0; i < count; i++)
        corpus_slot_fill(worker->bytes + i * SLOT, row_of(worker, rows[i]));
    ok = ok && (!referee || corpus_objdump_run(&objdump, check->objdump, worker->bytes, count * SLOT, &worker->error));
    for (size_t i = 0; ok && i < count; i++) {
        corpus_judge_ask(&worker->judge, row_of(worker, rows[i]));
        ok = take_outside(worker) && (!referee || find_line(worker, &objdump, &line, i * SLOT));
        if (ok && referee)
            objdump_answer(worker, &line);
        corpus_judge_compare(&worker->judge);
        count_row(worker);
    }
    end_outside(worker);
    corpus_objdump_end(&objdump);
    return ok;
}

/* Whether objdump also gets this row, on which the other decoders agree. */
static bool in_share(const struct corpus_check *check, const struct corpus_row *row)
{
    return check->share && corpus_row_hash(row) / 64 % check->share == 0;
}

/* Judges the rows that do not need objdump; lists the others. */
static size_t select_disputed(struct worker *worker, const uint32_t *rows, size_t count)
{
    const struct corpus_check *check = worker->work->check;
    size_t pending = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned any = 0;
        corpus_judge_ask(&worker->judge, row_of(worker, rows[i]));
        corpus_judge_compare(&worker->judge);
        for (unsigned j = 0; j < CORPUS_PARTIES; j++)
            any |= worker->judge.row.differences[j];
        if (check->referee != CORPUS_REFEREE_NONE && (any || in_share(check, worker->judge.row.row)))
            worker->pending[pending++] = rows[i];
        else
            count_row(worker);
    }
    return pending;
}

/* Rows that are likely one instruction, end to end, go first; `slots` begins with the others. */
static bool referee_pending(struct worker *worker, size_t count)
{
    uint32_t *later = malloc((count + 1) * sizeof *later);
    size_t likely = 0, later_count = 0;
    if (!later)
        return corpus_error_memory(&worker->error);
    for (size_t i = 0; i < count; i++) {
        const struct corpus_row *row = row_of(worker, worker->pending[i]);
        if (row->claim == CORPUS_CLAIM_INVALID || row->length > 15)
            later[later_count++] = worker->pending[i];
        else
            worker->pending[likely++] = worker->pending[i];
    }
    bool ok = likely == 0 || referee_packed(worker, &likely);
    memcpy(worker->pending + likely, later, later_count * sizeof *later);
    free(later);
    return ok && referee_slots(worker, likely + later_count);
}

static bool check_chunk(struct worker *worker, const uint32_t *rows, size_t count)
{
    const struct corpus_check *check = worker->work->check;
    for (unsigned i = CORPUS_OUTSIDE; i < CORPUS_PARTIES; i++)
        if (check->outside[i])
            return check_in_order(worker, rows, count);
    if (check->referee != CORPUS_REFEREE_ALL)
        return referee_pending(worker, select_disputed(worker, rows, count));
    memcpy(worker->pending, rows, count * sizeof *rows);
    return referee_pending(worker, count);
}

/* Small sets are divided so that every thread gets some rows. */
static size_t chunk_size(const struct work *work)
{
    size_t even = work->count / (2 * work->check->jobs) + 1;
    return even < CHUNK ? even : CHUNK;
}

static void work_through(struct worker *worker)
{
    struct work *work = worker->work;
    size_t chunk = chunk_size(work);
    for (;;) {
        size_t first = atomic_fetch_add(&work->next, chunk);
        if (first >= work->count || corpus_workers_failed(&work->workers))
            return;
        size_t count = work->count - first < chunk ? work->count - first : chunk;
        if (!check_chunk(worker, work->rows + first, count))
            corpus_workers_fail(&work->workers, &worker->error);
        corpus_workers_advance(&work->workers, count);
    }
}

static void *run_worker(void *argument)
{
    struct work *work = argument;
    const struct corpus_check *check = work->check;
    struct worker worker = {
        .work = work,
        .judge = {.rules = check->rules, .with_segue = check->with_segue, .with_source = check->with_source},
    };
    corpus_counts_init(&worker.judge.counts, work->check->unknown_examples);
    worker.judge.capstone = corpus_capstone_open();
    worker.pending = malloc(CHUNK * sizeof *worker.pending);
    worker.starts = malloc(CHUNK * sizeof *worker.starts);
    worker.bytes = malloc((CHUNK + 1) * (size_t)SLOT);
    if (worker.judge.capstone && worker.pending && worker.starts && worker.bytes) {
        work_through(&worker);
    } else {
        corpus_error_memory(&worker.error);
        corpus_workers_fail(&work->workers, &worker.error);
    }
    pthread_mutex_lock(&work->workers.lock);
    corpus_counts_add(work->counts, &worker.judge.counts);
    pthread_mutex_unlock(&work->workers.lock);
    corpus_counts_free(&worker.judge.counts);
    corpus_capstone_close(worker.judge.capstone);
    free(worker.pending);
    free(worker.starts);
    free(worker.bytes);
    return NULL;
}

static bool select_shard(struct work *work)
{
    const struct corpus_check *check = work->check;
    work->rows = malloc((check->rows->count + 1) * sizeof *work->rows);
    for (size_t i = 0; work->rows && i < check->rows->count; i++)
        if (check->shards == 1 || corpus_row_hash(&check->rows->rows[i]) % check->shards == check->shard)
            work->rows[work->count++] = (uint32_t)i;
    return work->rows != NULL;
}

bool corpus_check_run(const struct corpus_check *check, struct corpus_counts *counts, struct corpus_error *error)
{
    struct work work = {.check = check, .counts = counts};
    if (!select_shard(&work))
        return corpus_error_memory(error);
    work.workers.total = work.count;
    bool ok = corpus_workers_run(&work.workers, check->jobs, run_worker, &work, check->progress, error);
    free(work.rows);
    corpus_examples_sort(&counts->unknown);
    return ok;
}
