/* rows.c: rows of instruction bytes: in memory, without duplicates, and as the bytes of a file. read.c reads them. */
#include "rows.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

uint64_t corpus_row_hash(const struct corpus_row *row)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ row->length;
    for (size_t i = 0; i < row->length; i += 8) {
        uint64_t word = 0;
        size_t left = row->length - i;
        memcpy(&word, row->bytes + i, left < 8 ? left : 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    hash *= 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 29);
}

static bool same(const struct corpus_row *left, const struct corpus_row *right)
{
    return left->length == right->length && memcmp(left->bytes, right->bytes, left->length) == 0;
}

static void place(struct corpus_rows *rows, size_t number)
{
    size_t at = corpus_row_hash(&rows->rows[number]) & (rows->place_count - 1);
    while (rows->places[at])
        at = (at + 1) & (rows->place_count - 1);
    rows->places[at] = (uint32_t)(number + 1);
}

static bool grow(struct corpus_rows *rows)
{
    size_t capacity = rows->capacity ? rows->capacity * 2 : 1024;
    struct corpus_row *bigger = realloc(rows->rows, capacity * sizeof *bigger);
    if (!bigger)
        return false;
    rows->rows = bigger;
    uint32_t *places = calloc(capacity * 2, sizeof *places);
    if (!places)
        return false;
    free(rows->places);
    rows->places = places;
    rows->place_count = capacity * 2;
    rows->capacity = capacity;
    for (size_t i = 0; i < rows->count; i++)
        place(rows, i);
    return true;
}

bool corpus_rows_add(struct corpus_rows *rows, const struct corpus_row *row)
{
    if (rows->count == rows->capacity && !grow(rows))
        return false;
    size_t at = corpus_row_hash(row) & (rows->place_count - 1);
    for (; rows->places[at]; at = (at + 1) & (rows->place_count - 1)) {
        struct corpus_row *there = &rows->rows[rows->places[at] - 1];
        if (!same(there, row))
            continue;
        if (there->claim == CORPUS_CLAIM_NONE)
            there->claim = row->claim;
        there->again += row->again + 1;
        return true;
    }
    rows->rows[rows->count++] = *row;
    rows->places[at] = (uint32_t)rows->count;
    return true;
}

bool corpus_rows_add_all(struct corpus_rows *rows, const struct corpus_rows *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!corpus_rows_add(rows, &from->rows[i]))
            return false;
    return true;
}

void corpus_rows_free(struct corpus_rows *rows)
{
    free(rows->rows);
    free(rows->places);
    *rows = (struct corpus_rows){0};
}

static int order(const void *left_pointer, const void *right_pointer)
{
    const struct corpus_row *left = left_pointer, *right = right_pointer;
    int difference = memcmp(left->bytes, right->bytes, left->length < right->length ? left->length : right->length);
    return difference ? difference : (int)left->length - (int)right->length;
}

void corpus_rows_sort(struct corpus_rows *rows)
{
    if (rows->count)
        qsort(rows->rows, rows->count, sizeof *rows->rows, order);
}

void corpus_row_text(const struct corpus_row *row, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < row->length; i++) {
        *text++ = digits[row->bytes[i] >> 4];
        *text++ = digits[row->bytes[i] & 15];
    }
    *text = 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

const char corpus_row_too_long[] = "more bytes than a row may have";

const char *corpus_row_parse(struct corpus_row *row, const char *text, size_t length)
{
    const char *tab = memchr(text, '\t', length);
    size_t digits = tab ? (size_t)(tab - text) : length;
    memset(row, 0, sizeof *row);
    if (digits == 0)
        return "no bytes before the tab";
    for (size_t i = 0; i < digits; i++)
        if (digit(text[i]) < 0)
            return text[i] == ' ' ? "a blank between the digits; a tab ends the bytes"
                                  : "a character that is not a hexadecimal digit";
    if (digits % 2)
        return "an odd number of hexadecimal digits";
    if (digits / 2 > CORPUS_ROW_BYTES)
        return corpus_row_too_long;
    for (size_t i = 0; i < digits; i += 2)
        row->bytes[row->length++] = (uint8_t)(digit(text[i]) * 16 + digit(text[i + 1]));
    if (tab)
        row->claim =
            length - digits >= 8 && memcmp(tab + 1, "INVALID", 7) == 0 ? CORPUS_CLAIM_INVALID : CORPUS_CLAIM_VALID;
    return NULL;
}

static bool compressed(const char *path)
{
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".xz") == 0;
}

/* All rows as the text of a file. */
static char *to_text(const struct corpus_rows *rows, const char *header, size_t *size)
{
    size_t header_size = strlen(header);
    char *text = malloc(header_size + rows->count * (2 * CORPUS_ROW_BYTES + 10) + 1), *end = text;
    if (!text)
        return NULL;
    memcpy(end, header, header_size);
    end += header_size;
    for (size_t i = 0; i < rows->count; i++) {
        corpus_row_text(&rows->rows[i], end);
        end += 2 * rows->rows[i].length;
        if (rows->rows[i].claim == CORPUS_CLAIM_INVALID) {
            memcpy(end, "\tINVALID", 8);
            end += 8;
        }
        *end++ = '\n';
    }
    *size = (size_t)(end - text);
    return text;
}

static bool compress(char **bytes, size_t *size)
{
    size_t bound = lzma_stream_buffer_bound(*size), count = 0;
    uint8_t *out = malloc(bound);
    if (!out || lzma_easy_buffer_encode(9, LZMA_CHECK_CRC64, NULL, (const uint8_t *)*bytes, *size, out, &count,
                                        bound) != LZMA_OK) {
        free(out);
        return false;
    }
    free(*bytes);
    *bytes = (char *)out;
    *size = count;
    return true;
}

char *corpus_rows_file(const struct corpus_rows *rows, const char *path, const char *header, size_t *size,
                       struct corpus_error *error)
{
    char *bytes = to_text(rows, header, size);
    if (bytes && (!compressed(path) || compress(&bytes, size)))
        return bytes;
    free(bytes);
    errno = ENOMEM;
    corpus_error_system(error, "cannot write ", path);
    return NULL;
}
