/* rows.h: rows of instruction bytes: in memory, without duplicates, and in files.
 *
 * A file is text, one row a line: the bytes in hexadecimal, then optionally a tab and the claim of the row's source.
 * Lines that begin with '#' and empty lines are ignored; a line may end as in DOS (CR LF). A name that ends in .xz is
 * compressed. A source that begins with INVALID claims that the bytes are not an instruction; any other claims that
 * they are exactly one, from the first byte to the last. */
#ifndef SEGUE_CORPUS_ROWS_H
#define SEGUE_CORPUS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus/support/error.h"

/* The most bytes in a row: more than an instruction may have, so that instructions that are too long can be rows
 * too. */
#define CORPUS_ROW_BYTES 22

/* What the source of a row claims. */
enum corpus_claim {
    /* Nothing: the row has no source. */
    CORPUS_CLAIM_NONE,
    /* That the bytes are one instruction. */
    CORPUS_CLAIM_VALID,
    /* That they are not an instruction. */
    CORPUS_CLAIM_INVALID,
};

struct corpus_row {
    uint8_t length;
    /* enum corpus_claim. */
    uint8_t claim;
    uint8_t bytes[CORPUS_ROW_BYTES];
    /* How often the row was added again. */
    uint32_t again;
};

/* Rows without duplicates, in the order in which they were first added. All zero bytes are an empty set. */
struct corpus_rows {
    struct corpus_row *rows;
    size_t count;
    size_t capacity;
    /* Lines of files that were left out, since they have more bytes than a row may have; and the number of the first.
     */
    size_t left_out, left_out_line;
    /* A hash table of the rows, open addressing: 0 is free, else the row's number plus one. */
    uint32_t *places;
    size_t place_count;
};

/* Adds a row unless the set has its bytes already. False when memory has run out. */
bool corpus_rows_add(struct corpus_rows *rows, const struct corpus_row *row);

/* Adds all of `from`. False when memory has run out. */
bool corpus_rows_add_all(struct corpus_rows *rows, const struct corpus_rows *from);

/* Releases what the set holds and leaves it empty. */
void corpus_rows_free(struct corpus_rows *rows);

/* Sorts by bytes, shorter first among equals. Afterwards nothing more may be added. */
void corpus_rows_sort(struct corpus_rows *rows);

/* Adds the rows of a file. Lines with more bytes than a row may have are left out and counted. False, and `error`, on
 * failure. */
bool corpus_rows_read(struct corpus_rows *rows, const char *path, struct corpus_error *error);

/* The bytes of a file called `path` with these rows, after `header`, whose lines must begin with '#'; the caller
 * releases them. NULL, and `error`, on failure. */
char *corpus_rows_file(const struct corpus_rows *rows, const char *path, const char *header, size_t *size,
                       struct corpus_error *error);

/* A number that depends on the row's bytes alone, spread evenly over 64 bits. */
uint64_t corpus_row_hash(const struct corpus_row *row);

/* The bytes in hexadecimal; `text` has room for 2 * CORPUS_ROW_BYTES + 1. */
void corpus_row_text(const struct corpus_row *row, char *text);

/* Reads hexadecimal bytes up to a tab or the end. NULL on success, else what is wrong; corpus_row_too_long if there are
 * more bytes than a row may have. */
extern const char corpus_row_too_long[];
const char *corpus_row_parse(struct corpus_row *row, const char *text, size_t length);

#endif
