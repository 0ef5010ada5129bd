/* rows.h: the rows of corpus files as cases of the differential test, and what has become of each: shared by all
 * workers, and kept in a file, so that a long run goes on where it was ended.
 *
 * A pass makes one case of each row. A row's states are complete after as many passes as states were asked for, but
 * where its windows could not serve it; passes over what is missing follow, with windows that can. */
#ifndef SEGUE_TESTS_ROWS_H
#define SEGUE_TESTS_ROWS_H

#include <segue/decode.h>

#include "batch.h"

/* What is known of a row. */
enum row_fate {
    ROW_RUNS,
    /* This processor does not have it. */
    ROW_UNDEFINED,
    /* No plan of it says yes. */
    ROW_REFUSED,
};

/* Reads the rows of a file that access memory and can be run in a slot; may be called for several files, before any
 * worker starts. False, having said why, when that fails. */
bool rows_read(const char *path);

/* Keeps every row whose number is `shard` modulo `shards`. */
void rows_take_shard(uint64_t shard, uint64_t shards);

/* Makes what the workers share; rows_read may not be called any more. `states`: how many each row is to have. */
bool rows_begin(uint64_t states);

size_t rows_count(void);
/* Batches that a pass takes: the last is filled up. */
uint64_t rows_batches(void);
/* The row that a case is made of: rows_count() or above for none. */
size_t rows_of_case(uint64_t number);
/* Its bytes; `*length` of them. */
const uint8_t *rows_bytes(size_t row, uint8_t *length);

/* Whether a row needs no case any more; whether none of a batch does. */
bool rows_is_done(size_t row);
bool rows_batch_is_done(uint64_t batch);

/* A case of the row was made; it could not be made, whatever the state, and `why`; the processor does not have it. */
void rows_note_case(size_t row);
void rows_note_refused(size_t row, const char *why);
void rows_note_undefined(size_t row);

/* Rows that lack states, and could have them. */
size_t rows_missing(void);

/* Saves passes and totals to a file, or goes on from it: `*pass` is the next one. A file that is not there is no
 * failure; one of another run is. */
bool rows_save(const char *path, uint64_t seed, uint64_t pass, const struct batch_totals *totals);
bool rows_restore(const char *path, uint64_t seed, uint64_t *pass, struct batch_totals *totals);

/* Prints what became of the rows. */
void rows_summarise(void);

#endif
