/* read.c: reads files of rows block by block. A file is never in memory as a whole, compressed or not: a few hundred
 * kilobytes of xz can hold gigabytes of text, and the first wrong row ends the reading. */
#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define MIB (UINT64_C(1) << 20)
/* The size of a block, and the longest line. */
#define BLOCK (1u << 16)
/* The most text that a compressed file may hold: some seventeen million rows. */
#define UNPACKED_MOST (512 * MIB)
/* How many bytes of a wrong line an error shows. */
#define SHOWN 60
/* The most memory for decompression. xz -9 makes files that need 65 MiB. */
#define UNPACKING_MOST (256 * MIB)

struct reader {
    const char *path;
    struct corpus_error *error;
    FILE *file;
    bool is_packed, is_at_end;
    lzma_stream stream;
    uint64_t unpacked;
    uint8_t packed[BLOCK];
    /* Text that is read and not yet used: always the beginning of a line. */
    char text[2 * BLOCK];
    size_t held;
    /* Of the last line, and how many rows there were. */
    size_t number, found;
};

static bool is_packed(const char *path)
{
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".xz") == 0;
}

static bool cannot_read(const struct reader *reader)
{
    return corpus_error_system(reader->error, "cannot read ", reader->path);
}

static bool cannot_unpack(const struct reader *reader, lzma_ret result)
{
    if (result == LZMA_MEMLIMIT_ERROR)
        return corpus_error_set(reader->error, NULL, reader->path,
                                ": takes more than %u MiB to unpack; unpack it with xz -d",
                                (unsigned)(UNPACKING_MOST / MIB));
    return corpus_error_set(reader->error, NULL, reader->path, ": not a whole xz file (liblzma says %d)", (int)result);
}

/* Decompresses until the room is full or the file ends. */
static bool unpack(struct reader *reader, char *to, size_t room)
{
    lzma_stream *stream = &reader->stream;
    stream->next_out = (uint8_t *)to;
    stream->avail_out = room;
    while (stream->avail_out && !reader->is_at_end) {
        if (stream->avail_in == 0 && !feof(reader->file)) {
            stream->next_in = reader->packed;
            stream->avail_in = fread(reader->packed, 1, sizeof reader->packed, reader->file);
            if (ferror(reader->file))
                return cannot_read(reader);
        }
        lzma_ret result = lzma_code(stream, feof(reader->file) ? LZMA_FINISH : LZMA_RUN);
        if (result != LZMA_OK && result != LZMA_STREAM_END)
            return cannot_unpack(reader, result);
        reader->is_at_end = result == LZMA_STREAM_END;
    }
    reader->held += room - stream->avail_out;
    reader->unpacked += room - stream->avail_out;
    if (reader->unpacked <= UNPACKED_MOST)
        return true;
    return corpus_error_set(reader->error, NULL, reader->path,
                            ": holds more than %u MiB unpacked; unpack it with xz -d, and give the text",
                            (unsigned)(UNPACKED_MOST / MIB));
}

/* Reads more text after the text that is held. */
static bool fill(struct reader *reader)
{
    char *to = reader->text + reader->held;
    size_t room = sizeof reader->text - reader->held;
    if (reader->is_packed)
        return unpack(reader, to, room);
    reader->held += fread(to, 1, room, reader->file);
    reader->is_at_end = feof(reader->file);
    return ferror(reader->file) ? cannot_read(reader) : true;
}

static bool add_line(struct reader *reader, struct corpus_rows *rows, const char *line, size_t length)
{
    struct corpus_row row;
    reader->number++;
    if (length && line[length - 1] == '\r')
        length--;
    if (length == 0 || line[0] == '#')
        return true;
    const char *wrong = corpus_row_parse(&row, line, length);
    if (wrong == corpus_row_too_long) {
        if (rows->left_out++ == 0)
            rows->left_out_line = reader->number;
        return true;
    }
    if (wrong) {
        corpus_error_at(reader->error, reader->path, reader->number, ": %s", wrong);
        return corpus_error_quote(reader->error, line, length < SHOWN ? length : SHOWN);
    }
    if (!corpus_rows_add(rows, &row))
        return corpus_error_at(reader->error, reader->path, reader->number, ": out of memory after %zu rows",
                               rows->count);
    reader->found++;
    return true;
}

/* Adds the whole lines that are held, and at the end of the file a last line without a line end. */
static bool add_lines(struct reader *reader, struct corpus_rows *rows)
{
    char *at = reader->text, *limit = reader->text + reader->held, *end;
    while (at < limit && ((end = memchr(at, '\n', (size_t)(limit - at))) != NULL || reader->is_at_end)) {
        if (!end)
            end = limit;
        if (!add_line(reader, rows, at, (size_t)(end - at)))
            return false;
        at = end < limit ? end + 1 : limit;
    }
    reader->held = (size_t)(limit - at);
    memmove(reader->text, at, reader->held);
    if (reader->held < BLOCK)
        return true;
    return corpus_error_at(reader->error, reader->path, reader->number + 1, ": a line of more than %u bytes", BLOCK);
}

static bool read_all(struct reader *reader, struct corpus_rows *rows)
{
    if (reader->is_packed && lzma_stream_decoder(&reader->stream, UNPACKING_MOST, LZMA_CONCATENATED) != LZMA_OK) {
        errno = ENOMEM;
        return cannot_read(reader);
    }
    while (!reader->is_at_end)
        if (!fill(reader) || !add_lines(reader, rows))
            return false;
    return reader->found || corpus_error_set(reader->error, NULL, reader->path, ": holds no rows");
}

bool corpus_rows_read(struct corpus_rows *rows, const char *path, struct corpus_error *error)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return corpus_error_memory(error);
    reader->path = path;
    reader->error = error;
    reader->is_packed = is_packed(path);
    reader->stream = (lzma_stream)LZMA_STREAM_INIT;
    reader->file = fopen(path, "rbe");
    bool done = reader->file ? read_all(reader, rows) : cannot_read(reader);
    lzma_end(&reader->stream);
    if (reader->file)
        fclose(reader->file);
    free(reader);
    return done;
}
